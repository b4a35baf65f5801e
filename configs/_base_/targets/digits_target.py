# The smallest CIFAR ResNet: trains on one CPU core in seconds.
_base_ = './resnet20_cifar.py'

model = dict(backbone=dict(depth=8))
