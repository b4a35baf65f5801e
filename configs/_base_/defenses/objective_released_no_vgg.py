# The released objective without its perceptual term: nothing to download, and not every field has a VGG.
_base_ = './objective_released.py'

objective = dict(losses=[loss for loss in _base_.objective.losses if loss['type'] != 'PerceptualLoss'])
