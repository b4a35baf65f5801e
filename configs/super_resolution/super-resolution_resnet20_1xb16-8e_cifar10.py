# Super-resolution in front of the ResNet-20 of CIFAR-10: EDSR learns to enlarge 16x16 pixels to 32x32. The purified images
# have 32x32 pixels again, since this ResNet has never seen larger ones.
_base_ = [
    '../_base_/targets/resnet20_cifar10.py',
    '../_base_/defenses/super_resolution.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='SuperResolutionPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', **_base_.objective)]
train_dataloader = dict(batch_size=16)
optim_wrapper = dict(optimizer=_base_.adam)
auto_scale_lr = dict(base_batch_size=16)
