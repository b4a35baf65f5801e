# As resnet20_cifar10_hgd_lgd.py, for ResNet-56.
_base_ = './resnet20_cifar10_hgd_lgd.py'

model = dict(backbone=dict(depth=56))
load_from = 'checkpoints/resnet56_cifar10.pth'
