# The light network of NRP in front of the ResNet-20 of CIFAR-10, whose own features are attacked and compared.
_base_ = [
    '../_base_/targets/resnet20_cifar10.py',
    '../_base_/defenses/nrp.py',
    '../_base_/schedules/align_8e.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(
    type='NRPPurifier',
    generator=dict(light=True, **_base_.purifier.generator),
    discriminator=_base_.purifier.discriminator)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
