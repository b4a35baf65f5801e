# Align as its released code trains it: networks, objective, attack and learning rate. D sees images alone.
_base_ = [
    '../_base_/targets/ssd300_voc0712.py',
    '../_base_/attacks/fgsm_det_train.py',
    '../_base_/defenses/networks_large_images.py',
    '../_base_/defenses/objective_released_det.py',
    '../_base_/schedules/align_released_200e.py',
]

load_from = 'checkpoints/ssd_voc.pth'
model = dict(
    data_preprocessor=dict(
        type='AlignPurifier', working_size=(256, 256), **_base_.purifier, **_base_.condition))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

auto_scale_lr = dict(base_batch_size=4)
