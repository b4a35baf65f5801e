# A detector unlike light_ssd's, for transfer attacks: FCOS (no anchors, feature pyramid) on a narrow MobileNetV2.
norm_cfg = dict(type='BN')
model = dict(
    type='FCOS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='MobileNetV2', widen_factor=0.5, out_indices=(2, 4, 6), norm_cfg=norm_cfg),
    neck=dict(
        type='FPN',
        in_channels=[16, 48, 160],
        out_channels=48,
        start_level=0,
        num_outs=3,
        norm_cfg=norm_cfg),
    bbox_head=dict(
        type='FCOSHead',
        num_classes=3,
        in_channels=48,
        feat_channels=48,
        stacked_convs=2,
        strides=[8, 16, 32],
        regress_ranges=((-1, 24), (24, 48), (48, 1e8)),
        norm_on_bbox=True,
        centerness_on_reg=True,
        center_sampling=True,
        norm_cfg=norm_cfg,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.02,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=100))
