# Feature Denoising in the paper's setting: ResNet-152 with four non-local blocks, trained from random weights on PGD-30
# towards random classes. Validation is on clean images; attack it with tools/test.py.
_base_ = [
    'mmpretrain::_base_/models/resnet152.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/adversarial_110e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='DenoisingBackbone',
        backbone=dict(type='ResNet', depth=152),
        after='stages',
        kind='nonlocal_embedded'),
    head=dict(loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))
custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        # a step of max(1, eps / steps)
        attack=dict(type='PGD', eps=16, step_size=1, steps=30, targeted='random'),
        clean_start=0.2),
]
