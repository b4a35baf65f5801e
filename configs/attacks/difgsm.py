# Xie et al., CVPR 2019: min(eps + 4, ceil(1.25 eps)) steps of one pixel; with momentum, as the paper prefers it.
attack = dict(type='DIFGSM', eps=15, step_size=1, steps=19, momentum=1.0)
