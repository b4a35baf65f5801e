# DeepLabv3 on Pascal VOC2012.
_base_ = ['../models/deeplabv3_r50.py', '../datasets/voc2012.py', '../default_runtime_seg.py']

model = _base_.segmentor
