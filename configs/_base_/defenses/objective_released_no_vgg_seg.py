# The released objective for segmentation without its perceptual term. Its features are the logits; here they are what
# the paper takes, the layer before, because not every decode head has logits of its own.
_base_ = './objective_released_no_vgg.py'

objective = dict(feature_layer=None)
