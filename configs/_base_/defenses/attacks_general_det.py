# attacks_general.py for detectors: one of these for each batch, a budget of 0 to 12 pixels for each image, half of them below 3.
# There is no attack of one step: a detector has no predictions that could stand in for the truth, and a single step along its
# gradient shows a purifier where the objects are (label leaking).
budgets = dict(type='RandomBudget', eps=(0, 12), integer=False, power=2.0)
attack = [
    dict(attack=dict(type='PGD', steps=3, random_start='uniform', objective='cls+loc'), relative_step=0.5, **budgets),
    dict(attack=dict(type='PGD', steps=3, random_start='uniform', objective='cls_or_loc'), relative_step=0.5, **budgets),
    dict(attack=dict(type='MIFGSM', steps=3, objective='cls+loc'), relative_step=0.5, **budgets),
    dict(
        attack=dict(type='TIFGSM', steps=3, kernel_size=5, kernel_sigma=1.5, objective='cls+loc'),
        relative_step=0.5,
        **budgets),
    dict(attack=dict(type='DIFGSM', steps=3, objective='cls+loc'), relative_step=0.5, **budgets),
]
