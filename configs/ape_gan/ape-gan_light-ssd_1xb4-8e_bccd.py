# By the one line, in front of a small detector of blood cells: what it leaves out comes from
# ../_base_/defenses/ape_gan_default_det.py.
_base_ = '../target/light_ssd_bccd.py'

load_from = 'checkpoints/light_ssd_bccd.pth'
model = dict(data_preprocessor=dict(type='APEGANPurifier'))
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=8, val_interval=4)
