# HGD with logits guidance as published, at the length of the comparison.
_base_ = ['../_base_/benchmark/resnet20_cifar10_own_hgd.py', '../_base_/defenses/objective_hgd_logits.py']

custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, labels=_base_.labels, **_base_.objective)]
