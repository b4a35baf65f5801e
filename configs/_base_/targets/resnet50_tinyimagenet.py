# ResNet-50 on Tiny-ImageNet.
_base_ = ['../models/resnet50_cifar.py', '../datasets/tinyimagenet.py', '../default_runtime.py']

model = dict(head=dict(num_classes=200))
