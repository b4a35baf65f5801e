# What a detector's config gets that names NRPPurifier and nothing else: the same, since nothing in it knows a class.
_base_ = './nrp_default_cls.py'

auto_scale_lr = dict(base_batch_size=4)
