# HGD's logits guidance on clean images too, which HGD's own recipe never sees: what is Align's other terms' and what is the
# clean half's. Otherwise resnet20_cifar10_unet_logits.py.
_base_ = './resnet20_cifar10_unet_logits.py'

objective = dict(train_on='both', losses=[dict(type='FeatureReconstructionLoss')])
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **{**_base_.objective, **objective})]
