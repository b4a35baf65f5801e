# TRADES (Zhang et al., ICML 2019) as its authors train on CIFAR-10: beta 6, PGD on the divergence, and their optimizer.
custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=dict(
            type='PGD',
            eps=0.031 * 255,
            step_size=0.007 * 255,
            steps=10,
            random_start='normal',
            start_std=0.001 * 255,
            objective='kl'),
        train_on='both',
        task_weight=0.0,
        feature_layer='logits',
        losses=[dict(type='TRADESLoss', beta=6.0)]),
]
optim_wrapper = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=2e-4))
param_scheduler = dict(_delete_=True, type='MultiStepLR', by_epoch=True, milestones=[75], gamma=0.1)
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=80, val_interval=5)
