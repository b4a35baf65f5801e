# Align's optimizer (section 4.4; the decay is ours, in the form of the released code's), for 200 batches.
_base_ = './benchmark_400i.py'

optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = dict(begin=100, end=200)
train_cfg = dict(max_iters=200, val_interval=200)
