# The paper's setting for Cityscapes on CamVid, whose small images the generator takes as they are: needs a GPU.
_base_ = [
    '../_base_/targets/deeplabv3_r50.py',
    '../_base_/datasets/camvid.py',
    '../_base_/attacks/bim_seg_train.py',
    '../_base_/defenses/networks_large_images.py',
    '../_base_/defenses/objective_paper.py',
    '../_base_/schedules/align_80e.py',
    '../_base_/default_runtime_seg.py',
]

load_from = 'checkpoints/deeplabv3_camvid.pth'
model = dict(
    data_preprocessor=dict(
        type='AlignPurifier', size=_base_.crop_size, seg_pad_val=_base_.ignore_index, **_base_.purifier),
    decode_head=dict(num_classes=11, ignore_index=_base_.ignore_index),
    auxiliary_head=dict(num_classes=11, ignore_index=_base_.ignore_index))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

auto_scale_lr = dict(base_batch_size=4)
