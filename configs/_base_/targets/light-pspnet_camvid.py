# A narrow PSPNet on CamVid.
_base_ = ['../models/light_pspnet.py', '../datasets/camvid.py', '../default_runtime_seg.py']

model = _base_.segmentor
