_base_ = [
    '../_base_/models/light_deeplabv3.py',
    '../_base_/datasets/scenes_masks.py',
    '../_base_/schedules/target_scenes.py',
    '../_base_/default_runtime_seg.py',
]

# Seven pixels of eight are background.
loss = dict(type='CrossEntropyLoss', class_weight=[0.2, *[1.0] * 10])
norm_cfg = dict(type='BN')
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    # Separable convolutions are slow on a CPU.
    backbone=dict(
        _delete_=True,
        type='ResNetV1c',
        depth=18,
        base_channels=16,
        stem_channels=16,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        out_indices=(2, 3),
        norm_cfg=norm_cfg),
    decode_head=dict(in_channels=128, num_classes=11, loss_decode=loss))
