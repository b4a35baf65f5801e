# What a detector's config gets that names AlignPurifier and nothing else: attacks of many kinds and sizes, the recommended
# objective (nothing to download), and a small residual U-Net.
_base_ = ['./attacks_general_det.py', './objective_recommended_det.py', './networks_unet.py']

data_preprocessor = dict(**_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
auto_scale_lr = dict(base_batch_size=4)
