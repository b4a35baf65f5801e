# A small defense of a small detector of blood cells: target and purifier train on two CPU cores.
_base_ = [
    '../_base_/targets/light_ssd.py',
    '../_base_/datasets/bccd_small.py',
    '../_base_/attacks/fgsm_det_train.py',
    '../_base_/defenses/networks_unet.py',
    '../_base_/defenses/objective_recommended_det.py',
    '../_base_/schedules/align_light.py',
    '../_base_/default_runtime_det.py',
]

load_from = 'checkpoints/light_ssd_bccd.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', **_base_.purifier))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

auto_scale_lr = dict(base_batch_size=4)
