# Align, section 4.5, names both losses of Square: this is the cross-entropy, square.py the margin.
attack = dict(type='Square', eps=0.031 * 255, queries=10000, p_init=0.3, objective='cross_entropy')
