# The one-step auto-encoder of OAG's paper in front of the ResNet-20 of CIFAR-10; nothing to train.
_base_ = ['../target/resnet20_cifar10.py', '../_base_/defenses/oag_one_step_autoencoder.py']

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = _base_.purifier
