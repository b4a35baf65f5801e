# Super-resolution, trained on clean images.
_base_ = ['../_base_/benchmark/resnet20_cifar10_baseline.py', '../_base_/defenses/super_resolution.py']

data_preprocessor = dict(type='SuperResolutionPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
