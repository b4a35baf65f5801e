# A short one-cycle run from random weights, for the small targets that train on a CPU. OneCycleLR takes the length twice.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3), clip_grad=dict(max_norm=10.0))
param_scheduler = dict(type='OneCycleLR', eta_max=2e-3, total_steps=40, by_epoch=True, convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=40, val_interval=10)
val_cfg = dict()
test_cfg = dict()
