# A small defense of a small segmentation model, trained against an attacker who has the gradient through purifier and model.
_base_ = ['../target/light_pspnet_camvid.py', '../_base_/defenses/adaptive_dense.py']

load_from = 'checkpoints/light_pspnet_camvid.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', **_base_.purifier))
custom_hooks = [dict(type='PurifierTrainHook', threat='adaptive', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_epochs=4, val_interval=4)
param_scheduler = dict(total_steps=4)
