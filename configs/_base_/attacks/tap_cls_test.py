# Align, table V.
attack = dict(type='TAP', eps=0.031 * 255, step_size=0.0075 * 255, steps=100)
