# WideResNet-34-10 on Tiny-ImageNet.
_base_ = ['../models/wideresnet34_10.py', '../datasets/tinyimagenet.py', '../default_runtime.py']

model = dict(head=dict(num_classes=200))
