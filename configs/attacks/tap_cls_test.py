# Align, table V: with the cross-entropy, which label_weight=0 (the default) leaves out.
attack = dict(type='TAP', eps=0.031 * 255, step_size=0.0075 * 255, steps=100, label_weight=1.0)
