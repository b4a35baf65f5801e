# For the small residual U-Net: a higher learning rate and a few epochs, constant in the first half, then falling to 0.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.0, begin=4, end=8, by_epoch=True, convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=8, val_interval=4)
val_cfg = dict()
test_cfg = dict()
