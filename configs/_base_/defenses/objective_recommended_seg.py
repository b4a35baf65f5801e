# The recommended objective for segmentation: features are what the paper takes, the layer before the logits, because
# not every decode head has logits of its own.
_base_ = './objective_recommended.py'

objective = dict(feature_layer=None)
