# Align, section 4.5, for classifiers: PGD on the margin. The paper names no number of steps; as many as its PGD. The
# authors' evaluator runs carlini_wagner_released_cls_test.py instead.
attack = dict(type='CarliniWagnerBounded', eps=0.031 * 255, step_size=0.0075 * 255, steps=8)
