# SSD300 on BCCD.
_base_ = ['../models/ssd300.py', '../datasets/bccd.py', '../default_runtime_det.py']

model = dict(bbox_head=dict(num_classes=3))
