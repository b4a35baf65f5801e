# OAG, section IV, for ImageNet: untargeted, min(eps + 4, ceil(1.25 eps)) steps of one pixel.
attack = dict(type='MIFGSM', eps=2, step_size=1, steps=3)
