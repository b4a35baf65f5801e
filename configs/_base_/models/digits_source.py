# Four times as wide as digits_target, for transfer attacks.
_base_ = './wideresnet34_10.py'

model = dict(backbone=dict(depth=10, widen_factor=4), head=dict(in_channels=256))
