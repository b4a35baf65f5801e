# Align, section 4.5, for classifiers, without the smoothing of the gradient. Stronger than pgd_ti_cls_test.py where nothing
# defends, weaker against every defense measured (docs/attacks.md): a claim needs both.
attack = dict(type='PGD', eps=0.031 * 255, step_size=0.0075 * 255, steps=8)
