attack = dict(type='BIM', eps=8, step_size=2, steps=10)
