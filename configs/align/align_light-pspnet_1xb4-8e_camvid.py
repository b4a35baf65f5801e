# A small defense of a small segmentation model, with the paper's training attack. Target and purifier train on two CPU
# cores.
_base_ = [
    '../_base_/targets/light-pspnet_camvid.py',
    '../_base_/defenses/align_recommended_seg.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/light_pspnet_camvid.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', **_base_.purifier))
train_dataloader = dict(batch_size=4)
train_cfg = dict(val_interval=4)

auto_scale_lr = dict(base_batch_size=4)
