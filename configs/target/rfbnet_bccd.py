_base_ = [
    '../_base_/targets/rfbnet300.py',
    '../_base_/datasets/bccd.py',
    '../_base_/schedules/target_ssd_240e.py',
    '../_base_/default_runtime_det.py',
]

model = dict(bbox_head=dict(num_classes=3))
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=8)
