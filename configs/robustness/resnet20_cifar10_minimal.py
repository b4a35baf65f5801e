# What is called DeepFool and C&W, in all kinds, beside PGD in both forms: docs/attacks.md.
_base_ = '../_base_/attacks/suite_cifar10.py'

target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
source = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')

defenses = dict(
    none=dict(),
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    mean=dict(data_preprocessor=dict(type='MeanFilterPurifier')))
threat_models = [
    dict(name='transfer', source=source, attacks=_base_.by_gradient),
    dict(name='gray-box', attacks=_base_.by_gradient),
]
num_images = 200
test_dataloader = dict(batch_size=100, num_workers=0)
