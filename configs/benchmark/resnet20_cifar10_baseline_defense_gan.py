# Defense-GAN, trained on clean images: a five-hundredth of the published number of iterations.
_base_ = ['../_base_/benchmark/resnet20_cifar10_baseline.py', '../_base_/defenses/defense_gan.py']

data_preprocessor = dict(type='DefenseGANPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
