# An architecture unlike digits_target's, for transfer attacks: a DenseNet that trains on one CPU core in seconds.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='DenseNet', arch=dict(growth_rate=16, depths=[3, 3, 3], init_channels=32)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=92,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))
