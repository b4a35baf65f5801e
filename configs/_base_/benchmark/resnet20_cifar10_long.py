# Training at length on the ResNet-20 of CIFAR-10, all but networks, attack and hook: batches of 256, on all 50,000 images if
# they are in data/cifar10/train.
_base_ = [
    '../targets/resnet20_cifar10.py',
    '../defenses/objective_recommended.py',
    '../schedules/benchmark_long.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
train_dataloader = dict(batch_size=256)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2))
