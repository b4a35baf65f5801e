_base_ = [
    '../_base_/targets/pspnet_r50.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/target_poly_200e.py',
    '../_base_/default_runtime_seg.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(284, 284)))
train_dataloader = dict(batch_size=16)
auto_scale_lr = dict(base_batch_size=16)
