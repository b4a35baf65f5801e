# APE-GAN as published.
_base_ = ['../_base_/benchmark/resnet20_cifar10_baseline.py', '../_base_/defenses/ape_gan.py']

data_preprocessor = dict(type='APEGANPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
