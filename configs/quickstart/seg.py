# What tools/quickstart.py does to a segmentor.
attacks = {'SegPGD': dict(type='SegPGD', eps=8, step_size=2, steps=10)}
threat_models = ['gray-box', 'adaptive']
