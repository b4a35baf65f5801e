# HGD with feature guidance as published, at the length of the comparison: DUNET, HGD's training attacks and optimizer.
_base_ = [
    '../_base_/targets/resnet20_cifar.py',
    '../_base_/datasets/cifar10_folder.py',
    '../_base_/defenses/attacks_hgd.py',
    '../_base_/defenses/objective_hgd_feature.py',
    '../_base_/schedules/benchmark_hgd_200i.py',
    '../_base_/default_runtime_iters.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='HGDPurifier')
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, labels=_base_.labels, **_base_.objective)]
