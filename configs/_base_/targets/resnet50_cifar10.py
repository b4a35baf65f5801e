# ResNet-50 on CIFAR-10.
_base_ = ['../models/resnet50_cifar.py', '../datasets/cifar10.py', '../default_runtime.py']
