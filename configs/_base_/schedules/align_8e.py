# A short schedule for the small residual U-Net, whose learning rate can be higher than the paper's 2e-4.
_base_ = './align_80e.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(begin=4, end=8)
train_cfg = dict(max_epochs=8, val_interval=1)

auto_scale_lr = dict(base_batch_size=64)
