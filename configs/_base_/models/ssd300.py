# MMDetection's SSD300 with the anchors of Pascal VOC.
_base_ = 'mmdet::_base_/models/ssd300.py'

model = dict(bbox_head=dict(num_classes=20, anchor_generator=dict(basesize_ratio_range=(0.2, 0.9))))
