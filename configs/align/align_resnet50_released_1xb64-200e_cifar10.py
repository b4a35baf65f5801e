# Align as its released code trains it: networks, objective, attack and learning rate, with D conditioned on the label.
_base_ = [
    '../_base_/targets/resnet50_cifar10.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/networks_small_images.py',
    '../_base_/defenses/objective_released.py',
    '../_base_/schedules/align_released_200e.py',
]

load_from = 'checkpoints/resnet50_cifar10.pth'
# The archives hold RGB images, which the perceptual loss has to know.
data_preprocessor = dict(type='AlignPurifier', channel_order='rgb', **_base_.purifier, **_base_.condition)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

auto_scale_lr = dict(base_batch_size=64)
