# Purifiers of other papers, each after 400 batches of 64 (Defense-GAN and PixelDefend learn little in so few), and Align on
# its U-Net. Train them first; nrp and pixel_defend take a GPU:
# python benchmarks/train_seeds.py configs/benchmark/resnet20_cifar10_baseline_*.py configs/benchmark/resnet20_cifar10_unet_align.py
_base_ = '../_base_/robustness/cifar10_baselines.py'


def trainings(name, seeds=3, **settings):
    name = f'resnet20_cifar10_{name}'
    return dict(
        config=f'configs/benchmark/{name}.py',
        checkpoint=[f'work_dirs/{name}_seed{seed}/iter_400.pth' for seed in range(seeds)],
        **settings)


defenses = dict(
    none=dict(),
    align=trainings('unet_align'),
    ape_gan=trainings('baseline_ape_gan'),
    nrp=trainings('baseline_nrp'),
    nrp_light=trainings('baseline_nrp_light'),
    fpd=trainings('baseline_fpd'),
    super_resolution=trainings('baseline_super_resolution'),
    # 2,000 passes of the generator for each image.
    defense_gan=trainings('baseline_defense_gan', attacks=['PGD', 'TI-PGD']),
    # 1,024 passes of the network for each batch.
    pixel_defend=trainings('baseline_pixel_defend', seeds=1, attacks=['PGD', 'TI-PGD']))
threat_models = [
    'gray-box',
    dict(name='transfer', source=_base_.source),
    dict(name='adaptive', attacks=['PGD']),
    dict(name='adaptive-bpda', attacks=['PGD']),
]
