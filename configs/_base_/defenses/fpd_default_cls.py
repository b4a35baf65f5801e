# What a classifier's config gets that names FPDPurifier and nothing else: Align's training attack.
_base_ = ['./fpd.py', '../attacks/pgd_kl_train.py']

data_preprocessor = dict(**_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
auto_scale_lr = dict(base_batch_size=64)
