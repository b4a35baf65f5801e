# Align at the length of the comparison: the paper's generator, training attack and optimizer, and the recommended
# objective.
_base_ = [
    '../_base_/targets/resnet20_cifar10.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/networks_small_images.py',
    '../_base_/defenses/objective_recommended.py',
    '../_base_/schedules/benchmark_align_200i.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2))
