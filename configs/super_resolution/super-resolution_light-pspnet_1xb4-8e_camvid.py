# By the one line, in front of a small segmentation model: what it leaves out comes from
# ../_base_/defenses/super_resolution_default_seg.py.
_base_ = '../target/light_pspnet_camvid.py'

load_from = 'checkpoints/light_pspnet_camvid.pth'
model = dict(data_preprocessor=dict(type='SuperResolutionPurifier'))
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=8, val_interval=4)
