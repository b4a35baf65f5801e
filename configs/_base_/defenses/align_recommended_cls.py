# Align for classifiers with the paper's training attack, the recommended objective (nothing to download), and a small
# residual U-Net.
_base_ = ['../attacks/pgd_kl_train.py', './networks_unet.py', './objective_recommended.py']

custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
