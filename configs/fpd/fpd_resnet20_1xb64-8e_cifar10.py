# FPD's decoder in front of the ResNet-20 of CIFAR-10, on Align's training attack.
_base_ = [
    '../_base_/targets/resnet20_cifar10.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/fpd.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='FPDPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
