# The recommended objective for detectors: task weight 1, features of the backbone, and ten times the class terms.
_base_ = './objective_recommended.py'

objective = dict(
    task_weight=1.0,
    feature_layer=None,
    losses=[*_base_.objective.losses[:-1], dict(**_base_.objective.losses[-1], loss_weight=10.0)])
