# resnet20_cifar10_long_align.py with the paper's generator and discriminator.
_base_ = [
    '../_base_/benchmark/resnet20_cifar10_long.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/networks_small_images.py',
]

data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
