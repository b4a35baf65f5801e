# A small defense of a small detector of blood cells against attacks of many kinds and sizes, by the one line: what it leaves out comes
# from ../_base_/defenses/align_default_det.py. Target and purifier train on two CPU cores.
_base_ = '../target/light_ssd_bccd.py'

load_from = 'checkpoints/light_ssd_bccd.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier'))
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=8, val_interval=4)
