# deepfool_cls_test.py made as large as the budget, in the direction found.
attack = dict(type='DeepFool', eps=0.031 * 255, norm='linf', steps=50, fill=True)
