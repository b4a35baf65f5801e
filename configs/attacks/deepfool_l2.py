# The original: the smallest L2 change, without a ball.
attack = dict(type='DeepFool', norm='l2', steps=50)
