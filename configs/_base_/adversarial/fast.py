# Fast adversarial training (Wong et al., ICLR 2020): FGSM from a uniform start, with a step of 1.25 eps.
custom_hooks = [
    dict(
        type='AdversarialTrainingHook', attack=dict(type='FGSM', eps=8, step_size=10, random_start='uniform')),
]
