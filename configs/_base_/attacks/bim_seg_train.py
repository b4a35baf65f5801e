# Align, section 4.4, for segmentation: pixel-wise cross-entropy.
attack = dict(type='BIM', eps=0.03 * 255, step_size=0.01 * 255, steps=3)
