# PSPNet on Cityscapes.
_base_ = ['../models/pspnet_r50.py', '../datasets/cityscapes.py', '../default_runtime_seg.py']

model = _base_.segmentor
