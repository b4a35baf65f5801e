# HGD's logits guided denoiser (LGD) on CIFAR-10, with the U-Net and schedule of resnet20_cifar10_align and HGD's training attacks
# on the target. Trains on two CPU cores.
_base_ = [
    '../_base_/targets/resnet20_cifar.py',
    '../_base_/datasets/cifar10_folder.py',
    '../_base_/defenses/attacks_hgd.py',
    '../_base_/defenses/networks_unet.py',
    '../_base_/defenses/objective_hgd_logits.py',
    '../_base_/schedules/align_8e.py',
    '../_base_/default_runtime.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
data_preprocessor = dict(type='HGDPurifier', generator=_base_.purifier.generator)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, labels=_base_.labels, **_base_.objective)]
