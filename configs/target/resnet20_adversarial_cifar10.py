# The ResNet-20 of CIFAR-10, trained adversarially from random weights with one-step attacks (N-FGSM): what a purifier that
# withstands adaptive attackers is compared with, at the same number of gradients.
_base_ = ['../_base_/targets/resnet20_cifar10.py', '../_base_/schedules/adversarial_fast.py']

train_dataloader = dict(batch_size=128)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=500))
custom_hooks = [
    dict(type='AdversarialTrainingHook', attack=dict(type='NFGSM', eps=8)),
    dict(type='ChannelsLastHook'),
]
