# Domain adaptation (Song et al., ICLR 2019) on the logits; with the training attack of Align (sections 4.4 and 4.11), where its
# authors have FGSM.
_base_ = '../attacks/pgd_kl_train.py'

custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=_base_.attack,
        train_on='both',
        losses=[dict(type='DomainAdaptationLoss', feature_layer='logits')]),
]
