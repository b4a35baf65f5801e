# Align's recommended objective: one of five objectives on the same U-Net, training attack and schedule.
_base_ = ['../_base_/benchmark/resnet20_cifar10_unet.py', '../_base_/defenses/objective_recommended.py']

data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
