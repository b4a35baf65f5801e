# Align for detectors with the paper's training attack, the recommended objective (nothing to download), and a small residual
# U-Net.
_base_ = ['../attacks/fgsm_det_train.py', './objective_recommended_det.py', './networks_unet.py']

custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
