# What this package recommends and trains by default: the weights of the authors' released code without its perceptual
# term (nothing to download), its conditions on the discriminator's input, and what it does differently from task to
# task. What that code does exactly is objective_released.py.
objective = dict(
    task_weight=2.0,
    feature_layer='logits',
    losses=[
        dict(type='PixelReconstructionLoss', loss_weight=50.0),
        dict(type='LSGANLoss', generator_weight=1.0, discriminator_weight=1.0),
        dict(type='FeatureMatchingLoss', loss_weight=10.0),
        dict(type='FeatureReconstructionLoss', loss_weight=4.0),
        dict(
            type='ClassAlignmentLoss', margin=5.0, hinge=True, align_weight=0.1, inter_weight=0.005, intra_weight=1.0),
    ])
