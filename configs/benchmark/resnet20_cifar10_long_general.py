# resnet20_cifar10_long_align.py against attacks of any kind and size.
_base_ = [
    '../_base_/targets/resnet20_cifar.py',
    '../_base_/datasets/cifar10_folder.py',
    '../_base_/defenses/attacks_general.py',
    '../_base_/defenses/networks_unet.py',
    '../_base_/defenses/objective_recommended.py',
    '../_base_/schedules/benchmark_long.py',
    '../_base_/default_runtime_iters.py',
]

load_from = 'checkpoints/resnet20_cifar10.pth'
train_dataloader = dict(batch_size=256)
data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [
    dict(type='PurifierTrainHook', attack=_base_.attack, labels=_base_.labels, **_base_.objective)]
