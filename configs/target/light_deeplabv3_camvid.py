_base_ = [
    '../_base_/models/light_deeplabv3.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/target_light.py',
    '../_base_/default_runtime_seg.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size, seg_pad_val=_base_.ignore_index),
    decode_head=dict(num_classes=11, ignore_index=_base_.ignore_index))
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=8)
