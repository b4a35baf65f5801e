# The deep image prior in front of the ResNet-20 of CIFAR-10; nothing to train.
_base_ = ['../target/resnet20_cifar10.py', '../_base_/defenses/oag_dip.py']

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = _base_.purifier
