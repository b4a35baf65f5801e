# The objective of the authors' released code, for classifiers. It differs from the paper in weights (lambda 2 and 3 are
# swapped, lambda 4 multiplies the reconstruction alone), hinge, features (the logits), the layers of L_m (four of D's
# five) and the network of L_p: VGG-19 at relu1_1 to relu5_1, which sees [-1, 1] instead of what it was trained on.
objective = dict(
    task_weight=2.0,
    feature_layer='logits',
    losses=[
        dict(type='PixelReconstructionLoss', loss_weight=50.0),
        dict(
            type='PerceptualLoss',
            network=dict(type='TorchvisionVGG', depth=19),
            weights='torchvision://vgg19',
            layers=('features.1', 'features.6', 'features.11', 'features.20', 'features.29'),
            layer_weights=(1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0),
            mean=(127.5, 127.5, 127.5),
            std=(127.5, 127.5, 127.5),
            loss_weight=10.0),
        dict(type='LSGANLoss', generator_weight=1.0, discriminator_weight=1.0),
        dict(type='FeatureMatchingLoss', loss_weight=10.0),
        dict(type='FeatureReconstructionLoss', loss_weight=4.0),
        dict(
            type='ClassAlignmentLoss', margin=5.0, hinge=True, align_weight=0.1, inter_weight=0.005, intra_weight=1.0),
    ])
# D sees the one-hot ground truth beside the image: AlignPurifier(**_base_.purifier, **_base_.condition).
condition = dict(condition_on_labels=True)
