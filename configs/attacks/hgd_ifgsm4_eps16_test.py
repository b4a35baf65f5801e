# HGD, table 1: I-FGSM whose steps add up to the budget, at budgets of 4 and 16.
attack = dict(type='IFGSM', eps=16, step_size=16 / 4, steps=4)
