# Large dark or bright digits: one step as in the paper takes a third of the mAP, this two thirds.
attack = dict(type='BIM', eps=10, step_size=2, steps=10, objective='cls+loc')
