# PixelDefend in front of the ResNet-20 of CIFAR-10, with a PixelCNN++ that is far smaller than the published one.
_base_ = [
    '../_base_/targets/resnet20_cifar10.py',
    '../_base_/defenses/pixel_defend.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='PixelDefendPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
param_scheduler = dict(begin=50, end=100)
train_cfg = dict(max_epochs=100, val_interval=100)
