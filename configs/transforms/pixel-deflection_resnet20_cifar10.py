# Pixel deflection in front of the ResNet-20 of CIFAR-10; nothing to train.
_base_ = '../target/resnet20_cifar10.py'

load_from = 'checkpoints/resnet20_cifar10.pth'
# Images of 1,024 pixels: half as many deflections as the authors' for 50,176.
data_preprocessor = dict(type='PixelDeflectionPurifier', deflections=100, window=10)
