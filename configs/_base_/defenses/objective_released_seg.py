# The released objective for segmentation.
_base_ = './objective_released_no_vgg_seg.py'

objective = dict(losses=[_base_.objective.losses[0], _base_.perceptual, *_base_.objective.losses[1:]])
