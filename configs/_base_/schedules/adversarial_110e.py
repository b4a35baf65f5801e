# Feature Denoising: SGD with Nesterov momentum, weight decay on weights alone, and the learning rate of a batch of 256
# times (batch size / 256) with --auto-scale-lr; the paper's batches are of 4096.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 16, begin=0, end=5, by_epoch=True, convert_to_iter_based=True),
    dict(type='MultiStepLR', milestones=[35, 70, 95], gamma=0.1, by_epoch=True),
]
train_cfg = dict(by_epoch=True, max_epochs=110, val_interval=5)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=256)
