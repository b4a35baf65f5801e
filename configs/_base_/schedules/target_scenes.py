# A one-cycle run from random weights on the built-in scenes. OneCycleLR takes the length twice.
_base_ = './target_light.py'

param_scheduler = dict(eta_max=3e-3, total_steps=12)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
train_cfg = dict(max_epochs=12, val_interval=4)
