# For training at length on a GPU: batches of 256, Adam as in align_8e.py. The number of iterations is what there is time
# for; benchmarks/gpu_suite.py measures it and sets both numbers.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
param_scheduler = dict(type='LinearLR', start_factor=1.0, end_factor=0.0, begin=2000, end=4000, by_epoch=False)
train_cfg = dict(by_epoch=False, max_iters=4000, val_interval=4000)
val_cfg = dict()
test_cfg = dict()
