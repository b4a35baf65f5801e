# WideResNet-34-10 on CIFAR-100.
_base_ = ['../models/wideresnet34_10.py', '../datasets/cifar100.py', '../default_runtime.py']

model = dict(head=dict(num_classes=100))
