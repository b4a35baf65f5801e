_base_ = [
    '../_base_/targets/ssd300.py',
    '../_base_/datasets/voc0712_300.py',
    '../_base_/schedules/target_ssd_240e.py',
    '../_base_/default_runtime_det.py',
]

train_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=32)
