# CWAT (Chen, Kung and Chen, CVPR 2021): one step on the losses of all objects, averaged within each class of an image.
custom_hooks = [
    dict(
        type='AdversarialTrainingHook', attack=dict(type='FGSM', eps=8, objective='cwa'), train_on='half'),
]
