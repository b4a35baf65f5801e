# A patch of 5 % of the image in its upper left corner.
attack = dict(type='DPatch', area=0.05, steps=100, step_size=8)
