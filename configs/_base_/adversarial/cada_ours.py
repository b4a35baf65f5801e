# CADA + Ours (Align, section 4.11): the feature-level loss of cada.py replaced by Align's, with the released weights, at
# the same layer. The network is its own guide: adversarial features are pulled to those of the clean half.
_base_ = '../attacks/pgd_kl_train.py'

custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=_base_.attack,
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
