# Scenes of the built-in digits, for `make demo TASK=seg`: a purifier in front of scenes_seg_target.
_base_ = [
    '../_base_/models/light_pspnet.py',
    '../_base_/datasets/scenes_masks.py',
    '../_base_/defenses/networks_unet_narrow.py',
    '../_base_/defenses/objective_recommended_seg.py',
    '../_base_/schedules/align_8e.py',
    '../_base_/default_runtime_seg.py',
]

load_from = 'work_dirs/demo/seg/target/epoch_12.pth'
loss = dict(type='CrossEntropyLoss', class_weight=[0.2, *[1.0] * 10])
model = dict(
    data_preprocessor=dict(type='AlignPurifier', size=_base_.crop_size, **_base_.purifier),
    decode_head=dict(num_classes=11, loss_decode=loss),
    auxiliary_head=dict(num_classes=11, loss_decode=loss))
# With the budget of bim_scenes_seg, in fewer and larger steps.
attack = dict(type='BIM', eps=14, step_size=5, steps=3)
custom_hooks = [dict(type='PurifierTrainHook', attack=attack, **_base_.objective)]

# Half of the scenes are enough, and a demo should not take long.
train_dataloader = dict(dataset=dict(indices=300))
param_scheduler = dict(begin=3, end=6)
train_cfg = dict(max_epochs=6, val_interval=6)
