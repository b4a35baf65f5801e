_base_ = 'mmpretrain::resnext/resnext50-32x4d_8xb32_in1k.py'
