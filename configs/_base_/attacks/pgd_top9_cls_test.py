# Align, section 4.10: pgd_cls_test.py towards each of the 9 most likely wrong classes.
attack = dict(
    type='PGD',
    eps=0.031 * 255,
    step_size=0.0075 * 255,
    steps=8,
    targeted='top_wrong',
    num_targets=9)
