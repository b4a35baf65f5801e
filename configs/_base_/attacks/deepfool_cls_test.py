# Align, section 4.5, for classifiers: what DeepFool finds in the L-infinity norm, projected into the ball.
attack = dict(type='DeepFool', eps=0.031 * 255, norm='linf', steps=50)
