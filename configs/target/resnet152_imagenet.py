_base_ = 'mmpretrain::resnet/resnet152_8xb32_in1k.py'
