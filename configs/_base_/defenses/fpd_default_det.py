# What a detector's config gets that names FPDPurifier and nothing else: Align's training attack, and a pyramid whose finest stage is
# at a quarter of the resolution.
_base_ = ['./fpd.py', '../attacks/fgsm_det_train.py']

data_preprocessor = dict(generator=dict(finest=2, **_base_.purifier.generator))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
optim_wrapper = dict(optimizer=_base_.adam)
auto_scale_lr = dict(base_batch_size=4)
