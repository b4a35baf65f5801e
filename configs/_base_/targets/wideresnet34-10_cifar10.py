# WideResNet-34-10 on CIFAR-10.
_base_ = ['../models/wideresnet34_10.py', '../datasets/cifar10.py', '../default_runtime.py']
