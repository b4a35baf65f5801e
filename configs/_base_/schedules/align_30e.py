# Align, section 4.4, for Tiny-ImageNet: 30 epochs of batches of 16.
_base_ = './align_80e.py'

param_scheduler = dict(begin=15, end=30)
train_cfg = dict(max_epochs=30)

auto_scale_lr = dict(base_batch_size=16)
