# pgd_top9_cls_test.py in the translation-invariant form of pgd_ti_cls_test.py.
attack = dict(
    type='EachTarget',
    attack=dict(type='PGD', eps=0.031 * 255, step_size=0.0075 * 255, steps=8, kernel_size=3, kernel_sigma=1),
    num_targets=9)
