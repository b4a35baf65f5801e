_base_ = [
    '../_base_/models/light_retinanet.py',
    '../_base_/datasets/bccd_small.py',
    '../_base_/schedules/target_light.py',
    '../_base_/default_runtime_det.py',
]

train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=8)
