# The released objective for detectors without its perceptual term: task weight 1, features of the backbone, ten times the
# class terms without the one within a class, and a D that sees images alone.
_base_ = './objective_released_no_vgg.py'

objective = dict(
    task_weight=1.0,
    feature_layer=None,
    losses=[*_base_.objective.losses[:-1], dict(_base_.objective.losses[-1], intra_weight=0.0, loss_weight=10.0)])
condition = dict(condition_on_labels=False)
