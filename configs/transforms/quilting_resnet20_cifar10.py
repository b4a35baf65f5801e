# Image quilting in front of the ResNet-20 of CIFAR-10; nothing to train, but patches to draw:
# python tools/build_patches.py configs/target/resnet20_cifar10.py checkpoints/cifar10_patches.pth
_base_ = '../target/resnet20_cifar10.py'

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='QuiltingPurifier', patches='checkpoints/cifar10_patches.pth')
