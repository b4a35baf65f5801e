# The recommended small defence of CIFAR-10 (data/cifar10, image files): a residual U-Net, the released objective without
# the perceptual term, and a higher learning rate. Trains on two CPU cores.
_base_ = [
    '../_base_/targets/resnet20_cifar.py',
    '../_base_/datasets/cifar10_folder.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/networks_unet.py',
    '../_base_/defenses/objective_released_no_vgg.py',
    '../_base_/default_runtime.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
param_scheduler = dict(
    type='LinearLR', start_factor=1.0, end_factor=0.0, begin=4, end=8, by_epoch=True, convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=8, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64)
