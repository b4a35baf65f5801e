# MART (Wang et al., ICLR 2020): PGD with 10 steps, and a divergence that counts where clean images are misclassified.
custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=dict(type='PGD', eps=0.031 * 255, step_size=0.007 * 255, steps=10),
        train_on='both',
        task_weight=0.0,
        feature_layer='logits',
        losses=[dict(type='MARTLoss', beta=5.0)]),
]
