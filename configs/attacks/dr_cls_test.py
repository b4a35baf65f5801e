# Align, table V.
attack = dict(type='DR', eps=0.031 * 255, step_size=0.0075 * 255, steps=100)
