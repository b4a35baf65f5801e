# NRP with its published network, which takes a GPU. Perturbations and features are the target's, and a perturbation takes
# four steps, as many as Align's training attack.
_base_ = ['../_base_/benchmark/resnet20_cifar10_baseline.py', '../_base_/defenses/nrp.py']

data_preprocessor = dict(type='NRPPurifier', **_base_.purifier)
custom_hooks = [
    dict(type='PurifierTrainHook', attack=dict(type='SSP', eps=16, step_size=8, steps=4), **_base_.objective)
]
optim_wrapper = dict(optimizer=_base_.adam)
