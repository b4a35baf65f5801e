# attacks_general.py for segmentors: one of these for each batch, a budget of 0 to 12 pixels for each image, half of them below
# 3, and the target's own predictions as labels.
budgets = dict(type='RandomBudget', eps=(0, 12), integer=False, power=2.0)
attack = [
    dict(attack=dict(type='PGD', steps=3, random_start='uniform'), relative_step=0.5, **budgets),
    dict(attack=dict(type='SegPGD', steps=3, random_start='uniform'), relative_step=0.5, **budgets),
    dict(attack=dict(type='MIFGSM', steps=3), relative_step=0.5, **budgets),
    dict(attack=dict(type='TIFGSM', steps=3, kernel_size=5, kernel_sigma=1.5), relative_step=0.5, **budgets),
    dict(attack=dict(type='DIFGSM', steps=3), relative_step=0.5, **budgets),
    dict(attack=dict(type='FGSM'), **budgets),
]
labels = 'predicted'
