# What a classifier's config gets that names SmoothedPurifier and its sigma (which replaces the one below), and nothing
# else: a small residual U-Net that is trained on Gaussian noise.
_base_ = ['./objective_smoothed.py', './networks_unet.py']

data_preprocessor = dict(generator=_base_.purifier.generator)
custom_hooks = [dict(type='PurifierTrainHook', attack=dict(type='GaussianNoise', sigma=63.75), **_base_.objective)]
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
auto_scale_lr = dict(base_batch_size=64)
