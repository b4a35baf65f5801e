# HGD, table 1: each batch draws one, each image its budget. The source's own prediction is the label.
attack = [
    dict(type='RandomBudget', attack=dict(type='FGSM'), eps=(1, 16)),
    dict(type='RandomBudget', attack=dict(type='IFGSM', steps=2), eps=(1, 16)),
    dict(type='RandomBudget', attack=dict(type='IFGSM', steps=4), eps=(1, 16)),
    dict(type='RandomBudget', attack=dict(type='IFGSM', steps=8), eps=(1, 16)),
]
labels = 'predicted'
