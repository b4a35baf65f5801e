# MTD (Zhang and Wang, ICCV 2019): one step on the classification and one on the localization loss; of each image the version
# with the larger total loss.
custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=dict(
            type='StrongestOf',
            attacks=[dict(type='FGSM', eps=8, objective='cls'), dict(type='FGSM', eps=8, objective='loc')]),
        train_on='half'),
]
