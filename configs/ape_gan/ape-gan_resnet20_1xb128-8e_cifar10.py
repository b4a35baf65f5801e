# APE-GAN in front of the ResNet-20 of CIFAR-10, with its own network, attack, losses and optimizer.
_base_ = [
    '../_base_/targets/resnet20_cifar10.py',
    '../_base_/defenses/ape_gan.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='APEGANPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=_base_.adam)
auto_scale_lr = dict(base_batch_size=128)
