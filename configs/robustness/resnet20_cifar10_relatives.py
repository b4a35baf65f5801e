# The defences of this family with their own networks, training attacks and optimizers, each after the same number of
# images, and the transformations that need no training. Train the former first:
# python benchmarks/train_seeds.py configs/benchmark/resnet20_cifar10_own_*.py --amp --seeds 0 1 2
_base_ = '../_base_/robustness/cifar10_relatives.py'


def trainings(name, seeds=3):
    return dict(
        config=f'configs/benchmark/resnet20_cifar10_own_{name}.py',
        checkpoint=[f'work_dirs/resnet20_cifar10_own_{name}_seed{seed}/iter_200.pth' for seed in range(seeds)])


defences = dict(
    none=dict(),
    # A step of the paper's generator takes three times as long as one of DUNET: one seed.
    align=trainings('align', seeds=1),
    hgd_pixel=trainings('pgd'),
    hgd_feature=trainings('fgd'),
    hgd_logits=trainings('lgd'),
    hgd_label=trainings('cgd'),
    **_base_.filters)
