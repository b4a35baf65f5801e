# CON (Zhang and Wang, ICCV 2019): half of each batch is attacked by one step on the sum of both losses.
custom_hooks = [
    dict(
        type='AdversarialTrainingHook', attack=dict(type='FGSM', eps=8, objective='cls+loc'), train_on='half'),
]
