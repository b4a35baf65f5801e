# An FCN that trains in about a minute on one core, for comparisons of attacks on segmentors.
_base_ = [
    '../_base_/models/light_pspnet.py',
    '../_base_/datasets/scenes_masks.py',
    '../_base_/schedules/target_scenes.py',
    '../_base_/default_runtime_seg.py',
]

norm_cfg = dict(type='BN')
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        _delete_=True,
        type='ResNetV1c',
        depth=18,
        base_channels=12,
        stem_channels=12,
        num_stages=3,
        strides=(1, 2, 1),
        dilations=(1, 1, 2),
        out_indices=(2, ),
        norm_cfg=norm_cfg),
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=48,
        in_index=0,
        channels=48,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=11,
        norm_cfg=norm_cfg,
        # Seven pixels of eight are background.
        loss_decode=dict(type='CrossEntropyLoss', class_weight=[0.2, *[1.0] * 10])),
    auxiliary_head=None)

optim_wrapper = dict(optimizer=dict(lr=6e-3))
param_scheduler = dict(eta_max=6e-3, total_steps=6)
train_cfg = dict(max_epochs=6, val_interval=6)
default_hooks = dict(logger=dict(interval=25))
