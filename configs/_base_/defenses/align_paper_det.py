# Align for detection as in the paper: its generator, discriminator, objective and attack (sections 4.2 to 4.5).
_base_ = ['../attacks/fgsm_det_train.py', './networks_large_images.py', './objective_paper_det.py']

purifier = dict(working_size=(256, 256))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
