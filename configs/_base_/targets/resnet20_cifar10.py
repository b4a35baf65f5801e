# ResNet-20 on CIFAR-10.
_base_ = ['../models/resnet20_cifar.py', '../datasets/cifar10_folder.py', '../default_runtime.py']
