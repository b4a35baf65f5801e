# What tools/quickstart.py does to a detector: its whole training loss goes up, whatever the terms of its head are.
attacks = {'PGD': dict(type='PGD', eps=8, step_size=2, steps=10, objective='task_loss')}
threat_models = ['gray-box', 'adaptive']
