# Denoised smoothing (Salman et al., NeurIPS 2020): what the target says of a noisy image after the purifier is the truth
# (cross-entropy) and what it says of the clean image (stability), and the image is the clean one (mean L1 for their MSE).
objective = dict(
    task_weight=1.0,
    feature_layer='logits',
    train_on='adversarial',
    losses=[
        dict(type='PixelReconstructionLoss', loss_weight=1.0, clean_weight=0, adv_guide='clean'),
        dict(type='FeatureReconstructionLoss', loss_weight=0.1, clean_weight=0, adv_guide='clean'),
    ])
