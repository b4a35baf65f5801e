# HGD on the ResNet-20 of CIFAR-10, all but what guides it: its training attacks on the target, with the small U-Net and
# the schedule of align_resnet20_1xb64-8e_cifar10.py.
_base_ = ['../targets/resnet20_cifar10.py', './attacks_hgd.py', './networks_unet.py', '../schedules/align_8e.py']

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='HGDPurifier', generator=_base_.purifier.generator)
