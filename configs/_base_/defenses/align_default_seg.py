# What a segmentation config gets that names AlignPurifier and nothing else: the paper's training attack, the released
# objective without the perceptual term (nothing to download), and a small residual U-Net.
_base_ = ['../attacks/bim_seg_train.py', './objective_released_no_vgg_seg.py', './networks_unet.py']

data_preprocessor = dict(**_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
