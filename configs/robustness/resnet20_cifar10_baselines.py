# The defenses of this family with their own networks, training attacks and optimizers, each after the same number of
# images, and those that need no training. Train the former first:
# python benchmarks/train_seeds.py configs/benchmark/resnet20_cifar10_own_{pixel,feature,logits,label,align,align_residual}.py --amp
# python benchmarks/train_seeds.py configs/benchmark/resnet20_cifar10_own_denoising.py
_base_ = '../_base_/robustness/cifar10_baselines.py'


def trainings(name, seeds=3):
    return dict(
        config=f'configs/benchmark/resnet20_cifar10_own_{name}.py',
        checkpoint=[f'work_dirs/resnet20_cifar10_own_{name}_seed{seed}/iter_200.pth' for seed in range(seeds)])


defenses = dict(
    none=dict(),
    # These batches are too few for the published generator, whatever the seed.
    align=trainings('align', seeds=1),
    align_residual=trainings('align_residual'),
    hgd_pixel=trainings('pixel'),
    hgd_feature=trainings('feature'),
    hgd_logits=trainings('logits'),
    hgd_label=trainings('label'),
    # Attacked itself, and a step of an attack takes ten times as long as on the plain model.
    denoising=dict(attacks=['FGSM', 'PGD', 'TI-PGD', 'MIFGSM', 'CW'], **trainings('denoising')),
    **_base_.filters,
    # A tenth of a second an image. Its patches: tools/build_patches.py (configs/transforms/quilting_resnet20_cifar10.py).
    quilting=dict(
        attacks=['FGSM', 'PGD', 'TI-PGD'], data_preprocessor=dict(type='QuiltingPurifier', patches='checkpoints/cifar10_patches.pth')),
    # As long, at the steps that tools/tune_oag.py gives for the paper's noise of 0.25; of more steps, and of DIP:
    # resnet20_cifar10_online.py.
    oag=dict(attacks=['PGD', 'TI-PGD'], data_preprocessor=dict(type='OAGPurifier', num_steps=50)))
