# The denoising ResNet-20, which is attacked itself: with the attacks of the other comparisons, and with ever more steps
# towards a random class at eps 8, the paper's evaluation. 100 images, as the last attacks take long on a CPU.
# Train it first: python benchmarks/train_seeds.py configs/benchmark/resnet20_cifar10_own_denoising.py --seeds 0 1 2
_base_ = '../_base_/robustness/cifar10_baselines.py'

defenses = dict(
    none=dict(),
    denoising=dict(
        config='configs/benchmark/resnet20_cifar10_own_denoising.py',
        checkpoint=[f'work_dirs/resnet20_cifar10_own_denoising_seed{seed}/iter_200.pth' for seed in range(3)]))
attacks = {
    f'PGD-{steps}': dict(type='PGD', eps=8, step_size=max(1, 8 / steps), steps=steps, targeted='random')
    for steps in (10, 50, 250)
}
threat_models = [
    dict(name='gray-box', attacks=['FGSM', 'PGD', 'TI-PGD', 'MIFGSM', 'DeepFool-fill', 'CW', *attacks]),
    dict(name='transfer', source=_base_.source, attacks=['FGSM', 'PGD', 'TI-PGD', 'MIFGSM', 'DeepFool-fill', 'CW']),
]
num_images = 100
