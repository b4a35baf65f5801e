# TI-DIM of Dong et al., CVPR 2019, their strongest transfer attack, on images of 299 pixels.
attack = dict(type='TIFGSM', eps=16, step_size=1.6, steps=10, momentum=1.0, diversity=0.7)
