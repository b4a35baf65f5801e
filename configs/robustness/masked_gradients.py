# Defenses that only hide their gradient, or only draw at random: high under gray-box, broken by who looks.
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')

defenses = dict(
    none=dict(),
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    steps=dict(data_preprocessor=dict(type='BitDepthPurifier', bits=3)),
    random=dict(data_preprocessor=dict(type='RandomResizePadPurifier', min_scale=0.7)),
    align=dict(
        config='configs/align/align_resnet20_1xb64-8e_cifar10.py', checkpoint='checkpoints/resnet20_cifar10_align.pth'))

attacks = {f'PGD {eps}': dict(type='PGD', eps=eps, step_size=eps / 4, steps=20) for eps in (4, 8)}
# With the gradient smoothed, as Align evaluates (pgd_ti_cls_test.py).
smoothed = {f'TI-{name}': dict(attack, kernel_size=3, kernel_sigma=1) for name, attack in attacks.items()}
known = list(attacks)
attacks = {**attacks, **smoothed}
threat_models = [
    dict(name='gray-box', attacks=list(attacks)),
    dict(name='adaptive', attacks=known),
    dict(name='adaptive-bpda', attacks=known),
    dict(name='adaptive-eot', eot_samples=8, attacks=known),
]
num_images = 100
