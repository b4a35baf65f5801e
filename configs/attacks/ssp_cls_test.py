# Align, table V: the paper takes its features from VGG-16, which is then the source model.
attack = dict(type='SSP', eps=0.031 * 255, step_size=0.0075 * 255, steps=100)
