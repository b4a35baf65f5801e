# DeepLabv3 on CamVid.
_base_ = ['../models/deeplabv3_r50.py', '../datasets/camvid.py', '../default_runtime_seg.py']

model = _base_.segmentor
