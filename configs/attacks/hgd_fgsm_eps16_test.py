# HGD, table 1: gray-box on the target and from a model held out, at budgets of 4 and 16.
attack = dict(type='FGSM', eps=16)
