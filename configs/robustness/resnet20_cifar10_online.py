# Purifiers that take a tenth of a second to a second for each image on a CPU core: those that fit a network to it, at the
# steps that tools/tune_oag.py gives for noise of 0.25 (50) and of 0.05 (150), and quilting. 100 images.
_base_ = '../_base_/robustness/cifar10_relatives.py'

defences = dict(
    none=dict(),
    oag_50=dict(data_preprocessor=dict(type='OAGPurifier', num_steps=50)),
    oag_150=dict(data_preprocessor=dict(type='OAGPurifier', num_steps=150)),
    one_step_autoencoder=dict(data_preprocessor=dict(type='OneStepAutoEncoderPurifier')),
    dip=dict(data_preprocessor=dict(type='DIPPurifier')),
    quilting=dict(data_preprocessor=dict(type='QuiltingPurifier', patches='checkpoints/cifar10_patches.pth')))
threat_models = [
    dict(name='white-box', attacks=['FGSM', 'PGD', 'CW']),
    dict(name='transfer', source=_base_.source, attacks=['PGD']),
]
num_images = 100
