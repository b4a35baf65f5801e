# HGD's pixel guided denoiser on CIFAR-10. Trains on two CPU cores.
_base_ = ['../_base_/defenses/hgd_resnet20_cifar10_8e.py', '../_base_/defenses/objective_hgd_pixel.py']

custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, labels=_base_.labels, **_base_.objective)]
