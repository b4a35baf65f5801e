# Rows of docs/leaderboard.md: random defenses of ResNet-20 on CIFAR-10. Their gradients are means over draws (EOT).
_base_ = '../_base_/leaderboard/cifar10.py'

attacks = {
    # Under adaptive-eot, which draws by itself, and under adaptive-bpda, which does not.
    'APGD': dict(type='APGD', eps=8, steps=20),
    'APGD, BPDA': dict(type='APGD', eps=8, steps=20, eot_samples=4),
}
strong = ['PGD', 'TI-PGD', 'DI-FGSM']
differentiable = [*strong, 'APGD']
not_differentiable = [*strong, 'APGD, BPDA']
defenses = dict(
    resize_pad=dict(
        attacks=differentiable, data_preprocessor=dict(type='RandomResizePadPurifier', min_scale=0.9)),
    smoothed=dict(
        attacks=differentiable,
        data_preprocessor=dict(type='SmoothedPurifier', init_cfg=dict(type='Pretrained', checkpoint='zoo://smoothed_resnet20_cifar10'))),
    total_variation=dict(
        attacks=not_differentiable, data_preprocessor=dict(type='TotalVariationPurifier')),
    jpeg_resize_pad=dict(
        attacks=not_differentiable,
        data_preprocessor=dict(
            type='PurifierChain',
            purifiers=[dict(type='JPEGPurifier', quality=75), dict(type='RandomResizePadPurifier', min_scale=0.9)])),
    pixel_deflection=dict(
        attacks=not_differentiable, data_preprocessor=dict(type='PixelDeflectionPurifier', deflections=100)))
threat_models = [
    dict(name='gray-box', attacks=strong),
    dict(name='transfer', source=_base_.source, attacks=strong),
    dict(name='adaptive-eot', eot_samples=4, attacks=['APGD']),
    dict(name='adaptive-bpda', attacks=['APGD, BPDA']),
]
num_images = 50
test_dataloader = dict(batch_size=50)
defense_samples = 5
scales = dict(
    eight_bit=dict(
        threat_models=[
            dict(name='adaptive-eot', eot_samples=4, attacks=['APGD']),
            dict(name='adaptive-bpda', attacks=['APGD, BPDA']),
        ]))
_eot = (
    'Random: the numbers are those of one draw of the defense for each image. Attackers who know it follow the mean gradient over 4 '
    'draws in each of 20 steps of APGD, which is less than the standard for random defenses (AutoAttack\'s version "rand"), so read '
    'the number as an upper bound.')
_bpda = f'{_eot} The gradient is that of the identity (BPDA).'
leaderboard = dict(
    dataset='CIFAR-10',
    architecture='ResNet-20',
    rows=dict(
        resize_pad=dict(
            title='random resizing and padding',
            footnote=_eot,
            reference=dict(
                title='Xie et al., Mitigating Adversarial Effects Through Randomization, ICLR 2018',
                link='https://arxiv.org/abs/1711.01991')),
        smoothed=dict(
            title='denoised smoothing, one draw',
            footnote=f'{_eot} A certificate takes the vote of a thousand draws, and holds in L2: docs/certify.md.',
            reference=dict(
                title='Salman et al., Denoised Smoothing: A Provable Defense for Pretrained Classifiers, NeurIPS 2020',
                link='https://arxiv.org/abs/2003.01908')),
        total_variation=dict(
            title='total variation',
            footnote=_bpda,
            reference=dict(
                title='Guo et al., Countering Adversarial Images using Input Transformations, ICLR 2018',
                link='https://arxiv.org/abs/1711.00117')),
        jpeg_resize_pad=dict(title='JPEG, then random resizing and padding', footnote=_bpda),
        pixel_deflection=dict(
            title='pixel deflection',
            footnote=_bpda,
            reference=dict(
                title='Prakash et al., Deflecting Adversarial Attacks with Pixel Deflection, CVPR 2018',
                link='https://arxiv.org/abs/1801.08926'))))
