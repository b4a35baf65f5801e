# A small defense of a small detector of blood cells, with the paper's training attack. Target and purifier train on two CPU
# cores.
_base_ = [
    '../_base_/targets/light-ssd_bccd.py',
    '../_base_/defenses/align_recommended_det.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/light_ssd_bccd.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', **_base_.purifier))
train_dataloader = dict(batch_size=4)
train_cfg = dict(val_interval=4)

auto_scale_lr = dict(base_batch_size=4)
