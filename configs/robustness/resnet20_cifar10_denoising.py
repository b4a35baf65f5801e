# The denoising ResNet-20, attacked itself with ever more steps: "all or nothing" at eps 8. 100 images, as the last attacks
# take long on a CPU. Train it first: configs/benchmark/resnet20_cifar10_own_denoising.py
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
source = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')
defences = dict(
    none=dict(),
    denoising=dict(
        config='configs/benchmark/resnet20_cifar10_own_denoising.py',
        checkpoint='work_dirs/resnet20_cifar10_own_denoising_seed0/iter_200.pth'))
attacks = {
    f'PGD-{steps}': dict(type='PGD', eps=8, step_size=max(1, 8 / steps), steps=steps, targeted='random')
    for steps in (10, 50, 200)
}
attacks['PGD-50 untargeted'] = dict(type='PGD', eps=8, step_size=1, steps=50)
threat_models = ['white-box', dict(name='transfer', source=source)]
num_images = 100
