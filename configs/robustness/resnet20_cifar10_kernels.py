# Which kernel suits the smoothed form of PGD on images of 32 pixels: docs/attacks.md.
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
source = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')

defenses = dict(
    none=dict(),
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    mean=dict(data_preprocessor=dict(type='MeanFilterPurifier')))
budget = dict(type='PGD', eps=0.031 * 255, step_size=0.0075 * 255, steps=8)
kernels = [(3, 1), (5, 1), (7, 2), (15, 3)]
smoothed = {f'{size}, sigma {sigma}': dict(budget, kernel_size=size, kernel_sigma=sigma) for size, sigma in kernels}
attacks = {'PGD': budget, **smoothed}
threat_models = [dict(name='transfer', source=source), 'gray-box']
num_images = 100
test_dataloader = dict(batch_size=100, num_workers=0)
