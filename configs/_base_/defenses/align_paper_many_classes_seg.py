# Align for segmentation into many classes, as in the paper but for the mean over pairs of classes in the objective.
_base_ = ['../attacks/bim_seg_train.py', './networks_large_images.py', './objective_paper_many_classes.py']

purifier = dict(working_size=(512, 512))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
