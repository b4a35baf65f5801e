# Class-aware domain adaptation (Hou et al., 2020): a discriminator of features that knows the class; with the training
# attack of Align (sections 4.4 and 4.11).
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
        losses=[dict(type='DomainDiscriminatorLoss', feature_layer='pre_logits')]),
]
