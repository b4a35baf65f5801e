# A short schedule for the small residual U-Net, whose learning rate can be higher than the paper's 2e-4.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
param_scheduler = dict(
    type='LinearLR',
    start_factor=1.0,
    end_factor=0.0,
    begin=4,
    end=8,
    by_epoch=True,
    convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=8, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=64)
