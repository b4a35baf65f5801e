# The recommended small defense of CIFAR-10 (data/cifar10, image files): a residual U-Net and the recommended objective.
# Trains on two CPU cores.
_base_ = [
    '../_base_/targets/resnet20_cifar10.py',
    '../_base_/defenses/align_recommended_cls.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
# The frozen target's BatchNorm becomes part of its convolutions: a step needs a fifth less memory.
efficient_conv_bn_eval = ['backbone']
data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
