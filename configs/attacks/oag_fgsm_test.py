# OAG, section IV: towards a random class. The same budget on ImageNet and Flowers.
attack = dict(type='FGSM', eps=6, targeted='random')
