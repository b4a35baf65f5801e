# Rows of docs/leaderboard.md: purifiers that fit a network to each image, in front of ResNet-20 on CIFAR-10. Each image takes up
# to a second of a CPU core, so they have one draw, which the attacker knows, and few images.
_base_ = '../_base_/leaderboard/cifar10.py'

attacks = {'PGD, BPDA': dict(type='PGD', eps=8, step_size=2.0, steps=10, random_start='uniform')}
strong = ['PGD', 'TI-PGD', 'DI-FGSM']
defenses = dict(
    oag=dict(data_preprocessor=dict(type='OAGPurifier', num_steps=50, fixed=True)),
    one_step_autoencoder=dict(data_preprocessor=dict(type='OneStepAutoEncoderPurifier', fixed=True)),
    dip=dict(data_preprocessor=dict(type='DIPPurifier', fixed=True)))
threat_models = [
    dict(name='gray-box', attacks=strong),
    dict(name='transfer', source=_base_.source, attacks=strong),
    dict(name='adaptive-bpda', attacks=['PGD, BPDA']),
]
num_images = 50
test_dataloader = dict(batch_size=50)
scales = dict(eight_bit=dict(threat_models=[dict(name='adaptive-bpda', attacks=['PGD, BPDA'])]))
_fitted = (
    'Fitted to each image, with one draw that the attacker knows. Attackers who know it run PGD of 10 steps with the gradient of the '
    'identity (BPDA), which is weak: read the number as an upper bound.')
leaderboard = dict(
    dataset='CIFAR-10',
    architecture='ResNet-20',
    rows=dict(
        oag=dict(
            title='online alternate generator, 50 steps',
            footnote=_fitted,
            reference=dict(
                title='Li et al., Online Alternate Generator against Adversarial Attacks, TIP 2021',
                link='https://arxiv.org/abs/2009.08110')),
        one_step_autoencoder=dict(title='one-step autoencoder', footnote=_fitted),
        dip=dict(
            title='deep image prior',
            footnote=_fitted,
            reference=dict(title='Ulyanov et al., Deep Image Prior, CVPR 2018', link='https://arxiv.org/abs/1711.10925'))))
