model = dict(
    type='ImageClassifier',
    backbone=dict(type='WideResNet', depth=34, widen_factor=10),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=640,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))
