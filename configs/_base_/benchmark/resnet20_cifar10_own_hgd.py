# HGD as published on the ResNet-20 of CIFAR-10, all but what guides it, at the length of the comparison: DUNET, HGD's
# training attacks and optimizer.
_base_ = ['../targets/resnet20_cifar10.py', '../defenses/attacks_hgd.py', '../schedules/benchmark_hgd_200i.py']

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='HGDPurifier')
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2))
