# OAG, section IV, for Flowers: untargeted, min(eps + 4, ceil(1.25 eps)) steps of one pixel.
attack = dict(type='MIFGSM', eps=4, step_size=1, steps=5)
