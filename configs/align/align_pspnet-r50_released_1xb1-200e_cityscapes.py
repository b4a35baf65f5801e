# Align as its released code trains it: networks, objective, attack and learning rate, with D conditioned on the labels.
_base_ = [
    '../_base_/targets/pspnet-r50_cityscapes.py',
    '../_base_/attacks/bim_seg_train.py',
    '../_base_/defenses/networks_large_images.py',
    '../_base_/defenses/objective_released_seg.py',
    '../_base_/schedules/align_released_200e.py',
]

load_from = 'checkpoints/pspnet_cityscapes.pth'
model = dict(
    data_preprocessor=dict(
        type='AlignPurifier', working_size=(512, 512), tile_size=_base_.crop_size, **_base_.purifier, **_base_.condition))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

auto_scale_lr = dict(base_batch_size=1)
