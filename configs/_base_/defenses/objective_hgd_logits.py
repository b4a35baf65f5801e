# HGD's logits guided denoiser, the paper's default: the target's class scores (of detectors, the dense head's).
_base_ = './objective_hgd_feature.py'

objective = dict(feature_layer='logits')
