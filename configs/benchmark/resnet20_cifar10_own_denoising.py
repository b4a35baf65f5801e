# Feature Denoising at the length of the comparison: 200 batches of 64, from the weights of the plain model.
_base_ = '../feature_denoising/feature-denoising_resnet20_1xb64-8e_cifar10.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type='MultiStepLR', milestones=[125, 175], gamma=0.1, by_epoch=False),
]
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=200, val_interval=200)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2))
