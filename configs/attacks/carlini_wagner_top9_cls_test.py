# carlini_wagner_cls_test.py towards each of the 9 most likely wrong classes, the worst for the tested model.
attack = dict(
    type='EachTarget',
    attack=dict(type='CarliniWagnerBounded', eps=0.031 * 255, step_size=0.0075 * 255, steps=8),
    num_targets=9)
