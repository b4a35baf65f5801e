# The original: the smallest L2 change, without a ball. Up to 9000 forward and backward passes an image.
attack = dict(type='CarliniWagner', norm='l2', binary_search_steps=9, steps=1000)
