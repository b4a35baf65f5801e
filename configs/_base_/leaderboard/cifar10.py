# What all rows of the leaderboard for CIFAR-10 share: L-infinity, eps 8, the images of attackers who ignore the defense, and those
# of attackers who know it. An image that PGD breaks is not given to AutoAttack, so the number is at most that of AutoAttack.
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
source = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')

_ti = dict(kernel_size=3, kernel_sigma=1.0)
_pgd = dict(type='PGD', eps=8, step_size=2.0, steps=10, random_start='uniform')
_autoattack = dict(
    type='FirstSuccess',
    attacks=[
        dict(type='PGD', eps=8, step_size=2.0, steps=20, random_start='uniform'),
        dict(type='AutoAttack', eps=8),
    ])
attacks = {
    'PGD': _pgd,
    'TI-PGD': dict(_pgd, **_ti),
    'MI-FGSM': dict(type='MIFGSM', eps=8, step_size=1, steps=10),
    'DI-FGSM': dict(type='DIFGSM', eps=8, step_size=1, steps=10),
    'TI-DI-FGSM': dict(type='DIFGSM', eps=8, step_size=1, steps=10, **_ti),
    'C&W': dict(type='CarliniWagnerBounded', eps=8, step_size=1, steps=10),
    # By the threat models that run them: on differentiable defenses, and on others.
    'AutoAttack': _autoattack,
    'AutoAttack, BPDA': _autoattack,
}
ignorant = ['PGD', 'TI-PGD', 'MI-FGSM', 'DI-FGSM', 'TI-DI-FGSM', 'C&W']
differentiable = [*ignorant, 'AutoAttack']
not_differentiable = [*ignorant, 'AutoAttack', 'AutoAttack, BPDA']
threat_models = [
    # AutoAttack of the undefended target, which is the strongest attack on it.
    dict(name='gray-box', attacks=differentiable),
    dict(name='transfer', source=source, attacks=ignorant),
    dict(name='adaptive', attacks=['AutoAttack']),
    dict(name='adaptive-bpda', attacks=['AutoAttack, BPDA']),
]
num_examples = 0
test_dataloader = dict(batch_size=125, num_workers=0)
# tools/robustness.py CONFIG --scale eight_bit: attackers who know the defense, and whose images are files of 8 bits.
scales = dict(
    eight_bit=dict(
        quantize=True,
        threat_models=[
            dict(name='adaptive', attacks=['AutoAttack']),
            dict(name='adaptive-bpda', attacks=['AutoAttack, BPDA']),
        ]))
