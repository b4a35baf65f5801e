# Purifiers that fit a network to each image, for up to a second and more of a CPU core: 100 images, at the
# steps that tools/tune_oag.py gives for noise of 0.25 (50) and of 0.05 (150).
_base_ = '../_base_/robustness/cifar10_baselines.py'

defenses = dict(
    none=dict(),
    oag_50=dict(data_preprocessor=dict(type='OAGPurifier', num_steps=50)),
    oag_150=dict(data_preprocessor=dict(type='OAGPurifier', num_steps=150)),
    one_step_autoencoder=dict(data_preprocessor=dict(type='OneStepAutoEncoderPurifier')),
    dip=dict(data_preprocessor=dict(type='DIPPurifier')))
threat_models = [
    dict(name='gray-box', attacks=['FGSM', 'PGD', 'TI-PGD', 'CW']),
    dict(name='transfer', source=_base_.source, attacks=['PGD', 'TI-PGD', 'DeepFool-fill', 'CW']),
]
num_images = 100
