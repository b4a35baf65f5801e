# Align, section 4.5, for classifiers, as in the authors' evaluator: the smallest change in the L-infinity norm, clipped to
# the budget. It ends right behind the source's boundary, so that it hardly transfers.
attack = dict(type='DeepFool', eps=0.031 * 255, norm='linf', steps=50)
