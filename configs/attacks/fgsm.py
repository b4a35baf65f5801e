attack = dict(type='FGSM', eps=8)
