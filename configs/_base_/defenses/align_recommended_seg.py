# Align for segmentors with the paper's training attack, the recommended objective (nothing to download), and a small residual
# U-Net.
_base_ = ['../attacks/bim_seg_train.py', './objective_recommended_seg.py', './networks_unet.py']

custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
