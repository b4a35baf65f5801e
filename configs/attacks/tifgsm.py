# Dong et al., CVPR 2019, on images of 299 pixels; take a smaller kernel for smaller ones.
attack = dict(type='TIFGSM', eps=16, step_size=1.6, steps=10)
