# PSPNet on CamVid.
_base_ = ['../models/pspnet_r50.py', '../datasets/camvid.py', '../default_runtime_seg.py']

model = _base_.segmentor
