# HGD, table 1, at the largest budget: two steps that add up to it.
attack = dict(type='IFGSM', eps=16, step_size=16 / 2, steps=2)
