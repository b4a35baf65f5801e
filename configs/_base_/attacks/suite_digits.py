# Digits are black on white: it takes more than on photographs until a model errs.
attacks = dict(
    FGSM=dict(type='FGSM', eps=0.12 * 255),
    PGD=dict(type='PGD', eps=0.12 * 255, step_size=0.03 * 255, steps=10))
