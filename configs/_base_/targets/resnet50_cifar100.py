# ResNet-50 on CIFAR-100.
_base_ = ['../models/resnet50_cifar.py', '../datasets/cifar100.py', '../default_runtime.py']

model = dict(head=dict(num_classes=100))
