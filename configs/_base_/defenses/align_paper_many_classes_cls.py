# Align for classifiers of many classes, as in the paper but for the mean over pairs of classes in the objective: their
# sum leaves the generator at the identity.
_base_ = ['../attacks/pgd_kl_train.py', './networks_small_images.py', './objective_paper_many_classes.py']

custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
