# Dong et al., CVPR 2018: steps of a tenth of the budget.
attack = dict(type='MIFGSM', eps=16, step_size=1.6, steps=10)
