# What a classifier's config gets that names HGDPurifier and nothing else: DUNET guided by logits, on the paper's attacks.
_base_ = ['./attacks_hgd.py', './objective_hgd_logits.py']

data_preprocessor = dict(generator=dict(type='DUNet'))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, labels=_base_.labels, **_base_.objective)]
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
