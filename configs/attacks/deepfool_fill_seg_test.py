# deepfool_seg_test.py made as large as the budget, in the direction found.
attack = dict(type='DeepFool', eps=0.03 * 255, norm='linf', steps=20, num_candidates=1, fill=True)
