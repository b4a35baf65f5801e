# Noise of standard deviation 0.25 for images in 0-1, on which certified purifiers are trained.
attack = dict(type='GaussianNoise', sigma=63.75)
