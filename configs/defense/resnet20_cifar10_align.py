# The recommended small defense of CIFAR-10 (data/cifar10, image files): a residual U-Net and the recommended
# objective. Trains on two CPU cores.
_base_ = [
    '../_base_/targets/resnet20_cifar.py',
    '../_base_/datasets/cifar10_folder.py',
    '../_base_/attacks/pgd_kl_train.py',
    '../_base_/defenses/networks_unet.py',
    '../_base_/defenses/objective_recommended.py',
    '../_base_/schedules/align_8e.py',
    '../_base_/default_runtime.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
