# 400 batches of 64 for every objective of a comparison, in minutes on a CPU core. Adam as in align_8e.py.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
param_scheduler = dict(type='LinearLR', start_factor=1.0, end_factor=0.0, begin=200, end=400, by_epoch=False)
train_cfg = dict(by_epoch=False, max_iters=400, val_interval=400)
val_cfg = dict()
test_cfg = dict()
