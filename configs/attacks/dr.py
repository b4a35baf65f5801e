# As Lu et al. (CVPR 2020) run it in their example, on conv3_3 of VGG-16.
attack = dict(type='DR', eps=16, step_size=1, steps=1000)
