# The columns of Align's Tables I to IV (section 4.5), and Square for who may only ask, with few questions.
_eps = 0.031 * 255
attacks = dict(
    PGD=dict(type='PGD', eps=_eps, step_size=0.0075 * 255, steps=8),
    DeepFool=dict(type='DeepFool', eps=_eps, steps=50),
    CW=dict(type='CarliniWagner', eps=_eps, step_size=0.0075 * 255, steps=8),
    Square=dict(type='Square', eps=_eps, queries=100))
