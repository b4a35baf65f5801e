# A patch of 5 % of the image in a place drawn for each, made for all places and poses.
attack = dict(type='AdversarialPatch', area=0.05, steps=100, step_size=8)
