# SAT (Xu, Zhao and Jia, ICCV 2021): half of each batch is attacked by BIM with three steps.
custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=dict(type='BIM', eps=0.03 * 255, step_size=0.01 * 255, steps=3),
        train_on='half'),
]
