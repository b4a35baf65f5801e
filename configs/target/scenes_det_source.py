_base_ = [
    '../_base_/models/light_fcos.py',
    '../_base_/datasets/scenes_boxes.py',
    '../_base_/schedules/target_scenes.py',
    '../_base_/default_runtime_det.py',
]

model = dict(bbox_head=dict(num_classes=10))
