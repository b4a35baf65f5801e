# What a segmentation config gets that names SmoothedPurifier and its sigma, and nothing else: what a classifier gets. The
# stability term compares the class scores of every pixel.
_base_ = './smoothed_default_cls.py'

auto_scale_lr = dict(base_batch_size=4)
