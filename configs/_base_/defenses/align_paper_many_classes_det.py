# Align for detection of many classes, as in the paper but for the mean over pairs of classes in the objective.
_base_ = ['../attacks/fgsm_det_train.py', './networks_large_images.py', './objective_paper_many_classes_det.py']

purifier = dict(working_size=(256, 256))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
