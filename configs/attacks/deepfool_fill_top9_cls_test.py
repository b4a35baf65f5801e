# deepfool_fill_cls_test.py towards each of the 9 most likely wrong classes, the worst for the tested model.
attack = dict(
    type='EachTarget',
    attack=dict(type='DeepFool', eps=0.031 * 255, norm='linf', steps=50, fill=True),
    num_targets=9)
