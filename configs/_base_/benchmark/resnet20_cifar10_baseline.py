# Other purifiers on the ResNet-20 of CIFAR-10, all but the method: each with its own network, training images, losses and
# optimizer, after as many batches as the objectives on one U-Net (resnet20_cifar10_unet.py).
_base_ = ['../targets/resnet20_cifar10.py', '../schedules/benchmark_400i.py']

load_from = 'checkpoints/resnet20_cifar10.pth'
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2))
