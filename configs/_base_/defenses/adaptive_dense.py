# What small defenses of dense models train on against attackers who have the gradient through purifier and model.
_base_ = './networks_bottleneck.py'

attack = dict(type='PGD', eps=4, step_size=2, steps=2, random_start='uniform')
objective = dict(task_weight=1.0, losses=[dict(type='PixelReconstructionLoss', loss_weight=10.0)])
