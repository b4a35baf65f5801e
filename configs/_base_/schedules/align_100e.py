# Align, section 4.4, for CIFAR: 100 epochs of batches of 64.
_base_ = './align_80e.py'

param_scheduler = dict(begin=50, end=100)
train_cfg = dict(max_epochs=100)

auto_scale_lr = dict(base_batch_size=64)
