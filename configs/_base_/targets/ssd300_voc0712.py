# SSD300 on Pascal VOC07+12.
_base_ = ['../models/ssd300.py', '../datasets/voc0712_300.py', '../default_runtime_det.py']
