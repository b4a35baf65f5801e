# PixelDefend with a small PixelCNN++, trained on clean images.
_base_ = ['../_base_/benchmark/resnet20_cifar10_baseline.py', '../_base_/defenses/pixel_defend.py']

data_preprocessor = dict(type='PixelDefendPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
