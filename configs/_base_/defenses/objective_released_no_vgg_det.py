# The released objective for detectors without its perceptual term.
_base_ = './objective_released_det.py'

objective = dict(losses=[loss for loss in _base_.objective.losses if loss['type'] != 'PerceptualLoss'])
