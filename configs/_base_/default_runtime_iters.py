# Checkpoints counted in iterations.
_base_ = './default_runtime.py'

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2))
