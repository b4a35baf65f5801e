# HGD's feature guided denoiser: the target's last convolutional features, before pooling. Where a backbone goes on
# to the logits (VGG, Inception-v3), name its last convolutional layer instead.
objective = dict(
    train_on='adversarial',
    task_weight=0.0,
    feature_layer='backbone',
    losses=[dict(type='FeatureReconstructionLoss', clean_weight=0.0)])
