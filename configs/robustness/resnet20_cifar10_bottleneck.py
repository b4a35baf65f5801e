# The purifier for attackers who know it, beside no purifier, under attackers who do not look at it and under those who have
# the gradient through purifier and target. AutoAttack is in configs/leaderboard/resnet20_cifar10_adaptive.py.
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
defenses = dict(
    none=dict(),
    adaptive=dict(
        data_preprocessor=dict(
            type='AlignPurifier',
            init_cfg=dict(type='Pretrained', checkpoint='zoo/adaptive_resnet20_cifar10.pth'))))
_pgd = dict(type='PGD', eps=8, step_size=2, steps=20, random_start='uniform')
attacks = {
    'PGD': _pgd,
    'TI-PGD': dict(kernel_size=3, kernel_sigma=1, **_pgd),
}
threat_models = [
    dict(name='gray-box', attacks=['PGD', 'TI-PGD']),
    dict(name='adaptive', attacks=['PGD']),
]
num_images = 500
test_dataloader = dict(batch_size=100, num_workers=0)
