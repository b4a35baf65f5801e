# OAG, section IV: towards a random class, min(eps + 4, ceil(1.25 eps)) steps of one pixel; ImageNet and Flowers.
attack = dict(type='IFGSM', eps=6, step_size=1, steps=8, targeted='random')
