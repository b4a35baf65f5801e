# Purifiers trained at length (zoo/, configs/benchmark/resnet20_cifar10_long_*.py), at several budgets, against attackers
# who do not look at them, who have another model, and who know them.
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
source = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')


def purifier(checkpoint):
    return dict(
        data_preprocessor=dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)))


defenses = dict(
    none=dict(),
    align=purifier('zoo/align_resnet20_cifar10.pth'),
    general=purifier('zoo/general_resnet20_cifar10.pth'),
    general_integer=purifier('zoo/general_integer_resnet20_cifar10.pth'),
    general_logits=purifier('zoo/general_logits_resnet20_cifar10.pth'),
    general_fractional=purifier('zoo/general_fractional_resnet20_cifar10.pth'),
    adaptive=purifier('zoo/adaptive_resnet20_cifar10.pth'))

ti = dict(kernel_size=3, kernel_sigma=1.0)
attacks = dict()
for eps in (1, 2, 4, 8):
    attacks[f'PGD {eps}'] = dict(type='PGD', eps=eps, step_size=eps / 4, steps=10, random_start='uniform')
    attacks[f'TI {eps}'] = dict(type='PGD', eps=eps, step_size=eps / 4, steps=10, random_start='uniform', **ti)
attacks.update({
    'MI 8': dict(type='MIFGSM', eps=8, step_size=1, steps=10),
    'DI 8': dict(type='DIFGSM', eps=8, step_size=1, steps=10),
    'TI-DI 8': dict(type='DIFGSM', eps=8, step_size=1, steps=10, **ti),
    'CW 8': dict(type='CarliniWagnerBounded', eps=8, step_size=1, steps=10),
    'PGD-20 8': dict(type='PGD', eps=8, step_size=2, steps=20, random_start='uniform'),
})
del eps, purifier

threat_models = [
    dict(name='gray-box', attacks=[name for name in attacks if name != 'PGD-20 8']),
    dict(name='transfer', source=source, attacks=['PGD 8', 'TI 8', 'MI 8', 'DI 8', 'TI-DI 8', 'CW 8']),
    dict(name='adaptive', attacks=['PGD 4', 'PGD-20 8']),
]
num_images = 500
test_dataloader = dict(batch_size=250)
