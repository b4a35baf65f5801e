_base_ = [
    '../_base_/models/light_pspnet.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/target_light.py',
    '../_base_/default_runtime_seg.py',
]

model = _base_.segmentor
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=8)
