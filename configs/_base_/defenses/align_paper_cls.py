# Align for classifiers as in the paper: its generator, discriminator, objective and attack (sections 4.2 to 4.5).
_base_ = ['../attacks/pgd_kl_train.py', './networks_small_images.py', './objective_paper.py']

custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
