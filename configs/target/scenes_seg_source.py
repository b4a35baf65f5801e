_base_ = [
    '../_base_/targets/light_deeplabv3.py',
    '../_base_/datasets/scenes_masks.py',
    '../_base_/schedules/target_scenes.py',
    '../_base_/default_runtime_seg.py',
]

model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=11))
