# FPD's decoder, on Align's training attack.
_base_ = [
    '../_base_/benchmark/resnet20_cifar10_baseline.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/fpd.py',
]

data_preprocessor = dict(type='FPDPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
