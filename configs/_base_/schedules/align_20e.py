# Align, section 4.4, for VOC2012: 20 epochs.
_base_ = './align_80e.py'

param_scheduler = dict(begin=10, end=20)
train_cfg = dict(max_epochs=20)
