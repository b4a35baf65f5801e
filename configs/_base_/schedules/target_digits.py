# A short one-cycle run: enough for the small targets on the built-in digits.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=0.01))
param_scheduler = dict(type='OneCycleLR', eta_max=0.01, total_steps=10, by_epoch=True, convert_to_iter_based=True)

train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=1)
val_cfg = dict()
test_cfg = dict()
