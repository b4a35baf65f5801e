# "C&W" of the authors' evaluator: foolbox's L2 attack with 10 steps of Adam of 0.0075 (and its defaults: 9 weights from
# 1e-3 on), whose image is then clipped to the budget, 0.031 of the range 0-1, in L2. Next to no attack: that is 1/55 of the
# length that a change of 0.031 in every pixel of a 32-pixel image has.
attack = dict(type='CarliniWagner', norm='l2', steps=10, learning_rate=0.0075, clip_to=0.031 * 255)
