# Align, section 4.5, for segmentation: one step more than in training.
attack = dict(type='BIM', eps=0.03 * 255, step_size=0.01 * 255, steps=4)
