# Madry et al., ICLR 2018: PGD with 7 steps, on adversarial images alone.
custom_hooks = [
    dict(type='AdversarialTrainingHook', attack=dict(type='PGD', eps=8, step_size=2, steps=7)),
]
