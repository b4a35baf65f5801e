# Purifiers for randomized smoothing of the ResNet-20, all but the noise: batches of 128 of all images in
# data/cifar10/train, Adam whose learning rate falls to 0 over the whole run. To train for longer or shorter, set all of
# train_cfg.max_iters, train_cfg.val_interval and param_scheduler.end.
_base_ = [
    '../targets/resnet20_cifar10.py',
    '../defenses/objective_smoothed.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
train_dataloader = dict(batch_size=128)
# The noise is clipped to 0-255 after it is added, in training as in certification. The certificate stays valid: the
# smoothed classifier is clipping, generator and target together, on which it sets no condition.
data_preprocessor = dict(
    type='SmoothedPurifier',
    generator=dict(type='DUNet', widths=(24, 48, 96), encoder_units=(2, 2, 2), decoder_units=(2, 2)))
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = dict(type='LinearLR', start_factor=1.0, end_factor=0.0, begin=0, end=4000, by_epoch=False)
train_cfg = dict(by_epoch=False, max_iters=4000, val_interval=4000)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=200, max_keep_ckpts=2))
