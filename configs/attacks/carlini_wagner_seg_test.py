# Align, section 4.5, for segmentation: BIM on each pixel's margin. The paper names no number of steps; as many as its
# BIM.
attack = dict(type='CarliniWagnerBounded', eps=0.03 * 255, step_size=0.01 * 255, steps=4, random_start=None)
