# ResNet-20 on CIFAR-10: the recommended purifier against transformations without a model, under six threat models.
# 500 images in about ten minutes on one CPU core; num_images=None tests on all of them.
_base_ = '../_base_/attacks/suite_cifar10.py'

target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
source = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')

defenses = dict(
    none=dict(),
    align=dict(
        config='configs/align/align_resnet20_1xb64-8e_cifar10.py', checkpoint='checkpoints/resnet20_cifar10_align.pth'),
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    random=dict(data_preprocessor=dict(type='RandomResizePadPurifier', min_scale=0.9)))

threat_models = [
    dict(name='gray-box', attacks=_base_.by_gradient),
    dict(name='transfer', source=source, attacks=_base_.by_gradient),
    dict(name='adaptive', attacks=['PGD']),
    dict(name='adaptive-bpda', attacks=['PGD']),
    dict(name='adaptive-eot', eot_samples=8, attacks=['PGD']),
    dict(name='query', attacks=['Square']),
]
num_images = 500
layers = ['backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'head.fc']
distributions = dict(attack='PGD', count=300)
