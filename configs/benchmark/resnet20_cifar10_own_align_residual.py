# Align with its own generator, which here predicts what is added to an image and so starts as the identity, as DUNET does:
# the published one takes more than these batches to learn to draw images (resnet20_cifar10_own_align.py).
_base_ = './resnet20_cifar10_own_align.py'
data_preprocessor = dict(generator=dict(residual=True))
