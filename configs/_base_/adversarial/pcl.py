# Prototype conformity (Mustafa et al., ICCV 2019) at two depths, before and after the last layer, on clean and adversarial
# images; with the training attack of Align (sections 4.4 and 4.11). AutoAttack breaks the published model (0.28 %).
_base_ = '../attacks/pgd_kl_train.py'

custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=_base_.attack,
        train_on='both',
        losses=[
            dict(type='PrototypeConformityLoss', feature_layer='pre_logits', loss_weight=0.1),
            dict(type='PrototypeConformityLoss', feature_layer='logits', loss_weight=0.1),
        ]),
]
