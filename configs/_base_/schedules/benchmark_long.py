# For training at length on a GPU: batches of 256, Adam as in align_8e.py. The number of iterations is what there is time
# for; benchmarks/gpu_suite.py measures it and sets both numbers.
_base_ = './benchmark_400i.py'

param_scheduler = dict(begin=2000, end=4000)
train_cfg = dict(max_iters=4000, val_interval=4000)
