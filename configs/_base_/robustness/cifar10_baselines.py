# What the comparisons of defenses of ResNet-20 on CIFAR-10 share: the attacks of HGD, OAG and Align at Align's budget.
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
source = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')

_eps, _step = 0.031 * 255, 0.0075 * 255
# What each is, and why in two or three forms: ../attacks/suite_cifar10.py.
attacks = {
    'FGSM': dict(type='FGSM', eps=_eps),
    'PGD': dict(type='PGD', eps=_eps, step_size=_step, steps=8),
    'TI-PGD': dict(type='PGD', eps=_eps, step_size=_step, steps=8, kernel_size=3, kernel_sigma=1),
    'MIFGSM': dict(type='MIFGSM', eps=_eps, step_size=_step, steps=8),
    'DeepFool': dict(type='DeepFool', eps=_eps, steps=50),
    'DeepFool-fill': dict(type='DeepFool', eps=_eps, steps=50, fill=True),
    'CW': dict(type='CarliniWagnerBounded', eps=_eps, step_size=_step, steps=8),
    'CW-L2': dict(type='CarliniWagner', steps=10, learning_rate=0.0075, clip_to=_eps),
}
threat_models = [
    'gray-box',
    dict(name='transfer', source=source),
]
# Adversarial images of the target and of the source, which several grids share.
cache_dir = 'work_dirs/cifar10_baselines_adversarial'
num_examples = 4
test_dataloader = dict(batch_size=100, num_workers=0)
# Defenses that need no training and little time.
filters = dict(
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    bit_depth=dict(data_preprocessor=dict(type='BitDepthPurifier', bits=3)),
    mean=dict(data_preprocessor=dict(type='MeanFilterPurifier')),
    median=dict(data_preprocessor=dict(type='MedianFilterPurifier')),
    total_variation=dict(data_preprocessor=dict(type='TotalVariationPurifier')),
    resize_pad=dict(data_preprocessor=dict(type='RandomResizePadPurifier', min_scale=0.9)),
    pixel_deflection=dict(data_preprocessor=dict(type='PixelDeflectionPurifier', deflections=100)))
