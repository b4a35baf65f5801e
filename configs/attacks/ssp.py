# As Naseer et al. (CVPR 2020) run it; their source model is VGG-16.
attack = dict(type='SSP', eps=16, step_size=0.01 * 255, steps=100)
