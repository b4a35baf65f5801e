# The built-in handwritten digits, for `make demo`: a purifier in front of digits_target, trained on two CPU cores.
_base_ = [
    '../_base_/models/digits_target.py',
    '../_base_/datasets/digits.py',
    '../_base_/attacks/pgd_digits.py',
    '../_base_/defenses/networks_unet_narrow.py',
    '../_base_/defenses/objective_recommended.py',
    '../_base_/schedules/align_8e.py',
    '../_base_/default_runtime.py',
]

load_from = 'work_dirs/demo/cls/target/epoch_10.pth'
data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]
