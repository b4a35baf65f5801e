# RFBNet300 on Pascal VOC07+12.
_base_ = ['../models/rfbnet300.py', '../datasets/voc0712_300.py', '../default_runtime_det.py']
