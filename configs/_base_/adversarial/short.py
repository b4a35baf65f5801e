# After another recipe, for classifiers on a CPU: 6,000 batches of 128, as in ../schedules/adversarial_fast.py.
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(
    _delete_=True,
    type='OneCycleLR',
    eta_max=0.1,
    total_steps=6000,
    pct_start=0.4,
    anneal_strategy='linear',
    by_epoch=False)
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=6000, val_interval=2000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=500))
