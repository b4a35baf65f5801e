# Objectives compared on the ResNet-20 of CIFAR-10, all but the objective: one U-Net, training attack and schedule.
_base_ = [
    '../targets/resnet20_cifar10.py',
    '../attacks/pgd_kl_train.py',
    '../defenses/networks_unet.py',
    '../schedules/benchmark_400i.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='HGDPurifier', generator=_base_.purifier.generator)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2))
