# RFBNet300 (Liu et al., ECCV 2018): another neck and more anchors for the two largest maps but one pair.
_base_ = './ssd300.py'

model = dict(
    # The mean that the authors subtract, in the order in which the network takes the channels here.
    data_preprocessor=dict(mean=[123, 117, 104]),
    neck=dict(_delete_=True, type='RFBNeck'),
    bbox_head=dict(
        anchor_generator=dict(type='ClippedSSDAnchorGenerator', ratios=[[2, 3], [2, 3], [2, 3], [2, 3], [2], [2]])))
