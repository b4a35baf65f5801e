# What a classifier's config gets that names APEGANPurifier and nothing else.
_base_ = './ape_gan.py'

data_preprocessor = dict(**_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
auto_scale_lr = dict(base_batch_size=128)
