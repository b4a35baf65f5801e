# Feature Denoising on CIFAR-10: a non-local block after each stage of ResNet-20, trained from the weights of the plain
# model on two CPU cores, with the budget of the literature.
_base_ = ['../_base_/targets/resnet20_cifar10.py', '../_base_/schedules/adversarial_8e.py']

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
