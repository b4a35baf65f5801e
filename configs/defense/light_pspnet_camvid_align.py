# A small defense of a small segmentation model: target and purifier train on two CPU cores.
_base_ = [
    '../_base_/targets/light_pspnet.py',
    '../_base_/datasets/camvid.py',
    '../_base_/attacks/bim_seg_train.py',
    '../_base_/defenses/networks_unet.py',
    '../_base_/defenses/objective_recommended_seg.py',
    '../_base_/schedules/align_light.py',
    '../_base_/default_runtime_seg.py',
]

load_from = 'checkpoints/light_pspnet_camvid.pth'
model = dict(
    data_preprocessor=dict(
        type='AlignPurifier', size=_base_.crop_size, seg_pad_val=_base_.ignore_index, **_base_.purifier),
    decode_head=dict(num_classes=11, ignore_index=_base_.ignore_index),
    auxiliary_head=dict(num_classes=11, ignore_index=_base_.ignore_index))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

auto_scale_lr = dict(base_batch_size=4)
