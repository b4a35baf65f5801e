# PSPNet on Pascal VOC2012.
_base_ = ['../models/pspnet_r50.py', '../datasets/voc2012.py', '../default_runtime_seg.py']

model = _base_.segmentor
