# For a purifier against any attack of any size that does not look at it: each batch draws one of these, each image a
# budget of 0 to 12 pixels, half of them below 3. Budgets are not integers: a purifier that never saw less than 1 pixel lets
# small perturbations through. Labels are the target's own predictions, so that no step leaks the truth.
budgets = dict(type='RandomBudget', eps=(0, 12), integer=False, power=2.0)
attack = [
    dict(attack=dict(type='PGD', steps=4, random_start='normal', objective='kl'), relative_step=0.56, **budgets),
    dict(attack=dict(type='PGD', steps=4, random_start='uniform'), relative_step=0.4, **budgets),
    dict(attack=dict(type='MIFGSM', steps=4), relative_step=0.4, **budgets),
    dict(attack=dict(type='TIFGSM', steps=4, kernel_size=3, kernel_sigma=1.0), relative_step=0.4, **budgets),
    dict(attack=dict(type='DIFGSM', steps=4), relative_step=0.4, **budgets),
    dict(attack=dict(type='FGSM'), **budgets),
]
labels = 'predicted'
