# Align, section 4.5.
attack = dict(type='PPDA', eps=0.031 * 255, queries=4000, dimensions=1500, step_size=0.0075 * 255)
