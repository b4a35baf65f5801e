# VGG-16 as a source of features for attacks that ask for no labels (SSP as in Align's table V), whatever the classes of
# the target. Without its linear layers it takes images of any size from 32 pixels on. Weights: MMPretrain's model zoo.
_base_ = 'mmpretrain::vgg/vgg16_8xb32_in1k.py'

model = dict(backbone=dict(num_classes=-1), head=None)
