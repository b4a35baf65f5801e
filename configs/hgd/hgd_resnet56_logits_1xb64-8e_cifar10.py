# As hgd_resnet20_logits_1xb64-8e_cifar10.py, for ResNet-56.
_base_ = './hgd_resnet20_logits_1xb64-8e_cifar10.py'

model = dict(backbone=dict(depth=56))
load_from = 'checkpoints/resnet56_cifar10.pth'
