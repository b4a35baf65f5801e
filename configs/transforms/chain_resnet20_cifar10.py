# Two purifiers in a row in front of the ResNet-20 of CIFAR-10; nothing to train.
_base_ = '../target/resnet20_cifar10.py'

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(
    type='PurifierChain',
    purifiers=[dict(type='JPEGPurifier', quality=75), dict(type='RandomResizePadPurifier', min_scale=0.9)])
