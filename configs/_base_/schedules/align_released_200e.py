# The defaults of Align's released code: Adam at 2e-4 for generator and discriminator, 100 constant epochs, then 100 in
# which the learning rate falls to 0. (Its README trains for at least 20 to 100 epochs, by data set.)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-4, betas=(0.5, 0.999)))
param_scheduler = dict(
    type='LinearLR',
    start_factor=1.0,
    end_factor=0.0,
    begin=100,
    end=200,
    by_epoch=True,
    convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=5)
val_cfg = dict()
test_cfg = dict()
