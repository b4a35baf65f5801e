_base_ = [
    '../_base_/models/light_pspnet.py',
    '../_base_/datasets/scenes_masks.py',
    '../_base_/schedules/target_scenes.py',
    '../_base_/default_runtime_seg.py',
]

# Seven pixels of eight are background.
loss = dict(type='CrossEntropyLoss', class_weight=[0.2, *[1.0] * 10])
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=11, loss_decode=loss),
    auxiliary_head=dict(num_classes=11, loss_decode=loss))
