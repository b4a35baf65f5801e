# Align for segmentation as in the paper, for images that the generator takes as they are.
_base_ = ['../attacks/bim_seg_train.py', './networks_large_images.py', './objective_paper.py']

custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
