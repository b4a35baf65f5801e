# Adversarial training from the weights of the plain model, shortened to what two CPU cores do.
_base_ = './adversarial_110e.py'

optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(type='MultiStepLR', milestones=[5, 7], gamma=0.1, by_epoch=True),
]
train_cfg = dict(max_epochs=8, val_interval=1)

auto_scale_lr = dict(base_batch_size=64)
