# The objective of the authors' released code, for classifiers. It differs from the paper in weights (lambda 2 and 3 are
# swapped, lambda 4 multiplies the reconstruction alone), hinge, features (the logits), the layers of L_m (four of D's
# five) and the network of L_p.
_base_ = './objective_released_no_vgg.py'

objective = dict(losses=[_base_.objective.losses[0], _base_.perceptual, *_base_.objective.losses[1:]])
