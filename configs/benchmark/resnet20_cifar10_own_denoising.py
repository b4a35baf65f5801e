# Feature Denoising as in configs/defense, at the length of the comparison.
_base_ = [
    '../_base_/targets/resnet20_cifar.py',
    '../_base_/datasets/cifar10_folder.py',
    '../_base_/schedules/benchmark_adversarial_200i.py',
    '../_base_/default_runtime_iters.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
model = dict(
    backbone=dict(
        _delete_=True,
        type='DenoisingBackbone',
        backbone=dict(type='CIFARResNet', depth=20),
        after='stages',
        kind='nonlocal_embedded',
        input_size=(32, 32)),
    head=dict(loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))
custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=dict(type='PGD', eps=8, step_size=2, steps=7, targeted='random'),
        clean_start=0.2),
]
