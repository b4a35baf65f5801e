# The paper's objective for detectors of about 20 classes or more: features are the backbone's, averaged over each box
# (section 4.4), and the distance between classes is a mean over their pairs.
_base_ = './objective_paper_many_classes.py'

objective = dict(feature_layer=None)
