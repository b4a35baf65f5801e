# What a detector's config gets that names HGDPurifier and nothing else: DUNET guided by the scores of the dense head. HGD
# is about classifiers, whose predictions are the labels of its attacks: of detectors, Align's training attack instead.
_base_ = ['../attacks/fgsm_det_train.py', './objective_hgd_logits.py']

data_preprocessor = dict(generator=dict(type='DUNet'))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
