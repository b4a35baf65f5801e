# Align, section 4.4: Adam at 2e-4 for generator and discriminator, 80 epochs. The paper states no decay; this one has
# the form of the released code's default (100 constant epochs, then 100 that fall to 0) over these epochs.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-4, betas=(0.5, 0.999)))
param_scheduler = dict(
    type='LinearLR',
    start_factor=1.0,
    end_factor=0.0,
    begin=40,
    end=80,
    by_epoch=True,
    convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=80, val_interval=5)
val_cfg = dict()
test_cfg = dict()
