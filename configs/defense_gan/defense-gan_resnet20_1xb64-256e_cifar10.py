# Defense-GAN in front of the ResNet-20 of CIFAR-10. 256 epochs of 50,000 images are the paper's 200,000 iterations.
_base_ = [
    '../_base_/targets/resnet20_cifar10.py',
    '../_base_/defenses/defense_gan.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='DefenseGANPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
param_scheduler = dict(begin=128, end=256)
train_cfg = dict(max_epochs=256, val_interval=256)
