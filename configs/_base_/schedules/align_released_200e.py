# The defaults of Align's released code: Adam at 2e-4 for generator and discriminator, 100 constant epochs, then 100 in
# which the learning rate falls to 0. (Its README trains for at least 20 to 100 epochs, by data set.)
_base_ = './align_80e.py'

param_scheduler = dict(begin=100, end=200)
train_cfg = dict(max_epochs=200)
