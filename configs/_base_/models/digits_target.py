# A narrow, shallow wide ResNet: trains on one CPU core in seconds.
_base_ = './wideresnet34_10.py'

model = dict(backbone=dict(depth=10, widen_factor=1), head=dict(in_channels=64))
