# Denoised smoothing with noise of standard deviation 0.25, in the papers' unit of images in 0-1.
_base_ = '../_base_/benchmark/resnet20_cifar10_smoothed.py'

sigma = 0.25 * 255
data_preprocessor = dict(sigma=sigma)
custom_hooks = [dict(type='PurifierTrainHook', attack=dict(type='GaussianNoise', sigma=sigma), **_base_.objective)]
