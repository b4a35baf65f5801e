# Prototype conformity (Mustafa et al., ICCV 2019) at two depths, before and after the last layer, on clean and adversarial
# images; with the training attack of Align (sections 4.4 and 4.11). AutoAttack breaks the published model (0.28 %).
custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=dict(
            type='PGD',
            eps=0.031 * 255,
            step_size=0.0175 * 255,
            steps=4,
            random_start='normal',
            start_std=0.001 * 255,
            objective='kl'),
        train_on='both',
        losses=[
            dict(type='PrototypeConformityLoss', feature_layer='pre_logits', loss_weight=0.1),
            dict(type='PrototypeConformityLoss', feature_layer='logits', loss_weight=0.1),
        ]),
]
