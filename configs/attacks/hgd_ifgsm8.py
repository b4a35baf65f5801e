# HGD, table 1, at the largest budget: eight steps that add up to it.
attack = dict(type='IFGSM', eps=16, step_size=16 / 8, steps=8)
