# What a classifier's config gets that names PixelDefendPurifier and nothing else. It is for small images alone, which are
# not those of segmentation and detection.
_base_ = './pixel_defend.py'

data_preprocessor = dict(**_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
auto_scale_lr = dict(base_batch_size=64)
