# Align's optimizer (section 4.4; the decay is ours, in the form of the released code's), for 200 batches.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-4, betas=(0.5, 0.999)))
param_scheduler = dict(type='LinearLR', start_factor=1.0, end_factor=0.0, begin=100, end=200, by_epoch=False)
train_cfg = dict(by_epoch=False, max_iters=200, val_interval=200)
val_cfg = dict()
test_cfg = dict()
