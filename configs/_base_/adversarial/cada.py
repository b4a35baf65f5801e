# Class-aware domain adaptation (Hou et al., 2020): a discriminator of features that knows the class; with the training
# attack of Align (sections 4.4 and 4.11).
_base_ = '../attacks/pgd_kl_train.py'

custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=_base_.attack,
        train_on='both',
        losses=[dict(type='DomainDiscriminatorLoss', feature_layer='pre_logits')]),
]
