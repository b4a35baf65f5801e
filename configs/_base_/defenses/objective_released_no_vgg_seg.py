# The released objective for segmentation without its perceptual term.
_base_ = './objective_released_seg.py'

objective = dict(losses=[loss for loss in _base_.objective.losses if loss['type'] != 'PerceptualLoss'])
