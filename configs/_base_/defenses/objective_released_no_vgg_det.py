# The released objective for detectors without its perceptual term.
_base_ = './objective_released_no_vgg.py'

objective = dict(
    task_weight=1.0,
    feature_layer=None,
    losses=[*_base_.objective.losses[:-1], dict(**_base_.objective.losses[-1], loss_weight=10.0)])
