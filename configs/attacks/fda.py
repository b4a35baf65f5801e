# As Ganeshan et al. (ICCV 2019) run it.
attack = dict(type='FDA', eps=16, step_size=2, steps=10)
