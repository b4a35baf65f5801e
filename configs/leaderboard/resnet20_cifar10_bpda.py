# Rows of docs/leaderboard.md: transforms of ResNet-20 on CIFAR-10 that have no gradient. AutoAttack takes minutes for the images that it
# has to give up.
_base_ = '../_base_/leaderboard/cifar10.py'

defenses = dict(
    jpeg_75=dict(attacks=_base_.not_differentiable, data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    jpeg_50=dict(attacks=_base_.not_differentiable, data_preprocessor=dict(type='JPEGPurifier', quality=50)),
    bit_depth=dict(attacks=_base_.not_differentiable, data_preprocessor=dict(type='BitDepthPurifier', bits=3)))
num_images = 100
test_dataloader = dict(batch_size=100)
_bpda = 'Not differentiable: AutoAttack has the gradient of the identity (BPDA).'
_guo = dict(
    title='Guo et al., Countering Adversarial Images using Input Transformations, ICLR 2018',
    link='https://arxiv.org/abs/1711.00117')
leaderboard = dict(
    dataset='CIFAR-10',
    architecture='ResNet-20',
    rows=dict(
        jpeg_75=dict(title='JPEG, quality 75', footnote=_bpda, reference=_guo),
        jpeg_50=dict(title='JPEG, quality 50', footnote=_bpda, reference=_guo),
        bit_depth=dict(
            title='bit depth, 3 bits',
            footnote=_bpda,
            reference=dict(title='Xu et al., Feature Squeezing, NDSS 2018', link='https://arxiv.org/abs/1704.01155'))))
