# target_poly_200e.py in a quarter of the epochs, for Pascal VOC2012.
_base_ = './target_poly_200e.py'

param_scheduler = dict(end=50)
train_cfg = dict(max_epochs=50)
