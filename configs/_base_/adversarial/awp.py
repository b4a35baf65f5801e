# AWP (Wu, Xia and Wang, NeurIPS 2020) on PGD with 10 steps, AT-AWP, as its authors train on CIFAR-10: weights are perturbed
# from the first epoch on.
custom_hooks = [
    dict(
        type='AdversarialTrainingHook',
        attack=dict(type='PGD', eps=8, step_size=2, steps=10),
        weight_perturbation=0.01),
]
