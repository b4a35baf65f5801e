# The paper's objective for detectors: features are the backbone's, averaged over each box (section 4.4).
_base_ = './objective_paper.py'

objective = dict(feature_layer=None)
