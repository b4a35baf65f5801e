# Align's table V for ResNet-20 on CIFAR-10: SSP on the features of VGG-16 (ImageNet), the other transfer attacks on
# ResNet-56, those that only ask on the model itself; MI also as who has the target, or all, runs it. APGD, Square and
# SignFlip take hours: 100 images.
_base_ = '../_base_/attacks/suite_table_v.py'

target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
source = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')
vgg = dict(config='configs/target/vgg16_imagenet.py', checkpoint='checkpoints/vgg16_imagenet.pth')

defenses = dict(
    none=dict(),
    align=dict(
        config='configs/align/align_resnet20_1xb64-8e_cifar10.py', checkpoint='checkpoints/resnet20_cifar10_align.pth'),
    hgd=dict(
        config='configs/hgd/hgd_resnet20_logits_1xb64-8e_cifar10.py', checkpoint='checkpoints/hgd_resnet20_logits_cifar10.pth'))

threat_models = [
    dict(name='transfer', source=vgg, attacks=['SSP']),
    dict(name='transfer', source=source, attacks=['FDA', 'TAP', 'MI', 'Auto', 'CuWh', 'DIM', 'DR']),
    dict(name='gray-box', attacks=['MI']),
    dict(name='adaptive', attacks=['MI']),
    dict(name='query', attacks=['Square', 'SquareCE', 'PPDA', 'GeoDA', 'SF']),
]
num_images = 100
