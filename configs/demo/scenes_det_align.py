# Scenes of the built-in digits, for `make demo TASK=det`: a purifier in front of scenes_det_target.
_base_ = [
    '../_base_/models/light_ssd.py',
    '../_base_/datasets/scenes_boxes.py',
    '../_base_/attacks/fgsm_det_train.py',
    '../_base_/defenses/networks_unet_narrow.py',
    '../_base_/defenses/objective_recommended_det.py',
    '../_base_/schedules/align_8e.py',
    '../_base_/default_runtime_det.py',
]

load_from = 'work_dirs/demo/det/target/epoch_12.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', **_base_.purifier), bbox_head=dict(num_classes=10))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

param_scheduler = dict(begin=3, end=6)
train_cfg = dict(max_epochs=6, val_interval=6)
