# What a classifier's config gets that names SuperResolutionPurifier and nothing else.
_base_ = './super_resolution.py'

data_preprocessor = dict(**_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
auto_scale_lr = dict(base_batch_size=16)
