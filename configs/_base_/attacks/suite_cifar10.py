# The columns of Align's Tables I to IV (section 4.5), and Square for who may only ask, with few questions.
# PGD stands in both forms (pgd_ti_cls_test.py says why this kernel), of which a defense's number is the lower one; of
# DeepFool and C&W stand what is usually meant in a budget (DeepFool-fill, CW) and what the authors' evaluator runs
# (DeepFool, CW-L2), which hardly transfers. "worst case" counts what is right under all of a row.
_eps, _step = 0.031 * 255, 0.0075 * 255
attacks = {
    'PGD': dict(type='PGD', eps=_eps, step_size=_step, steps=8),
    'TI-PGD': dict(type='PGD', eps=_eps, step_size=_step, steps=8, kernel_size=3, kernel_sigma=1),
    'DeepFool': dict(type='DeepFool', eps=_eps, steps=50),
    'DeepFool-fill': dict(type='DeepFool', eps=_eps, steps=50, fill=True),
    'CW': dict(type='CarliniWagnerBounded', eps=_eps, step_size=_step, steps=8),
    'CW-L2': dict(type='CarliniWagner', steps=10, learning_rate=0.0075, clip_to=_eps),
    'Square': dict(type='Square', eps=_eps, queries=100),
}
# What needs gradients, and not the model that is tested.
by_gradient = ['PGD', 'TI-PGD', 'DeepFool', 'DeepFool-fill', 'CW', 'CW-L2']
