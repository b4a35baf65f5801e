# N-FGSM (de Jorge et al., NeurIPS 2022): one step from noise of twice the budget, not projected.
custom_hooks = [
    dict(type='AdversarialTrainingHook', attack=dict(type='NFGSM', eps=8)),
]
