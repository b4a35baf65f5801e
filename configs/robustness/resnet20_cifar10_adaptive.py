# The defenses of resnet20_cifar10_objectives.py and resnet20_cifar10_baselines.py (first seeds) against who knows them:
# the gradient through the purifier where it has one, else the identity on the backward pass, and draws where it is random.
_base_ = '../_base_/robustness/cifar10_baselines.py'


def trained(kind, name, iterations):
    name = f'resnet20_cifar10_{kind}_{name}'
    return dict(config=f'configs/benchmark/{name}.py', checkpoint=f'work_dirs/{name}_seed0/iter_{iterations}.pth')


defenses = dict(
    none=dict(),
    align=trained('unet', 'align', 400),
    pixel=trained('unet', 'pixel', 400),
    feature=trained('unet', 'feature', 400),
    logits=trained('unet', 'logits', 400),
    label=trained('unet', 'label', 400),
    dunet_logits=trained('own', 'logits', 200),
    **_base_.filters)
threat_models = [
    dict(name='gray-box', attacks=['PGD', 'TI-PGD']),
    dict(name='adaptive', attacks=['PGD']),
    dict(name='adaptive-bpda', attacks=['PGD']),
]
num_images = 200
