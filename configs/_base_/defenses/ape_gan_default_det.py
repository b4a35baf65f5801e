# What a detector's config gets that names APEGANPurifier and nothing else: FGSM on the classification or the localisation
# loss, as in Align, and the rest as for classifiers, since no part of it knows a class.
_base_ = './ape_gan_default_cls.py'

custom_hooks = [
    dict(type='PurifierTrainHook', attack=dict(objective='cls_or_loc', **_base_.attack), **_base_.objective)
]
