# What a classifier's config gets that names DefenseGANPurifier and nothing else. Scenes of many objects, as in
# segmentation and detection, are not what such a generator can draw.
_base_ = './defense_gan.py'

data_preprocessor = dict(**_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
auto_scale_lr = dict(base_batch_size=64)
