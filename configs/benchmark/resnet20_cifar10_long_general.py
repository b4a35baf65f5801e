# resnet20_cifar10_long_align.py against attacks of any kind and size.
_base_ = [
    '../_base_/benchmark/resnet20_cifar10_long.py',
    '../_base_/defenses/attacks_general.py',
    '../_base_/defenses/networks_unet.py',
]

data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [
    dict(type='PurifierTrainHook', attack=_base_.attack, labels=_base_.labels, **_base_.objective),
    dict(type='ChannelsLastHook'),
]
