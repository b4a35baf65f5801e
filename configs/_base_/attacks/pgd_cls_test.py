# Align, section 4.5, for classifiers, without the smoothing of the gradient: the strongest form on 32-pixel images.
attack = dict(type='PGD', eps=0.031 * 255, step_size=0.0075 * 255, steps=8)
