# Towards each of the 9 most likely wrong classes (Align, section 4.10, after AutoAttack), the worst for the tested model,
# beside the untargeted attacks. Nine times as long as those: 100 images.
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
source = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')

defenses = dict(
    none=dict(),
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)))

budget = dict(eps=0.031 * 255)
steps = dict(step_size=0.0075 * 255, steps=8)
untargeted = {
    'PGD': dict(type='PGD', **budget, **steps),
    'TI-PGD': dict(type='PGD', **budget, **steps, kernel_size=3, kernel_sigma=1),
    'DeepFool-fill': dict(type='DeepFool', **budget, fill=True),
    'CW': dict(type='CarliniWagnerBounded', **budget, **steps),
}
targeted = {f'{name} x 9': dict(type='EachTarget', attack=attack, num_targets=9) for name, attack in untargeted.items()}
attacks = {**untargeted, **targeted}
threat_models = ['gray-box', dict(name='transfer', source=source)]
num_images = 100
test_dataloader = dict(batch_size=100, num_workers=0)
