# Natural corruptions (pip install -e .[corruptions]) beside attacks: a defense must not make them worse (docs/attacks.md).
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')


def purifier(checkpoint):
    return dict(
        data_preprocessor=dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)))


defenses = dict(
    none=dict(),
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    median=dict(data_preprocessor=dict(type='MedianFilterPurifier')),
    align=purifier('zoo/align_resnet20_cifar10.pth'),
    general_integer=purifier('zoo/general_integer_resnet20_cifar10.pth'))
del purifier

steps = dict(type='PGD', eps=8, step_size=2, steps=10, random_start='uniform')
attacks = {
    'PGD': steps,
    'TI-PGD': dict(steps, kernel_size=3, kernel_sigma=1.0),
    'ImageNet-C': dict(type='ImageNetC', severity=1),
}
threat_models = ['gray-box', 'natural']
num_images = 200
num_examples = 0
test_dataloader = dict(batch_size=100, num_workers=0)
