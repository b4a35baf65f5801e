# The recommended defense of CIFAR-10 (configs/align/align_resnet20_1xb64-8e_cifar10.py) trained at length.
_base_ = [
    '../_base_/benchmark/resnet20_cifar10_long.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/networks_unet.py',
]

data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
