# Align, section 4.10, after AutoAttack: pgd_cls_test.py towards each of the 9 most likely wrong classes. An image is right
# only if the tested model is right under all nine.
attack = dict(
    type='EachTarget',
    attack=dict(type='PGD', eps=0.031 * 255, step_size=0.0075 * 255, steps=8),
    num_targets=9)
