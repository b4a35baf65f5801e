# What a classifier's config gets that names AlignPurifier and nothing else.
_base_ = './align_recommended_cls.py'

data_preprocessor = dict(**_base_.purifier)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
auto_scale_lr = dict(base_batch_size=64)
