_base_ = [
    '../_base_/targets/deeplabv3_r50.py',
    '../_base_/datasets/voc2012.py',
    '../_base_/schedules/target_poly_50e.py',
    '../_base_/default_runtime_seg.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=21),
    auxiliary_head=dict(num_classes=21),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(278, 278)))
train_dataloader = dict(batch_size=16)
auto_scale_lr = dict(base_batch_size=16)
