# CADA + Ours (Align, section 4.11): the feature-level loss of cada.py replaced by Align's, with the released weights, at
# the same layer. The network is its own guide: adversarial features are pulled to those of the clean half.
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
            dict(
                type='FeatureReconstructionLoss',
                feature_layer='pre_logits',
                clean_weight=0.0,
                adv_guide='purified_clean',
                loss_weight=4.0),
            dict(type='ClassAlignmentLoss', feature_layer='pre_logits', guide='purified_clean'),
        ]),
]
