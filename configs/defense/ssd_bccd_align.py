# The paper's setting for VOC07+12 on blood cells: needs a GPU.
_base_ = [
    '../_base_/targets/ssd300.py',
    '../_base_/datasets/bccd.py',
    '../_base_/attacks/fgsm_det_train.py',
    '../_base_/defenses/networks_large_images.py',
    '../_base_/defenses/objective_paper_det.py',
    '../_base_/schedules/align_80e.py',
    '../_base_/default_runtime_det.py',
]

load_from = 'checkpoints/ssd_bccd.pth'
model = dict(
    data_preprocessor=dict(type='AlignPurifier', working_size=(256, 256), **_base_.purifier),
    bbox_head=dict(num_classes=3))
custom_hooks = [dict(type='PurifierTrainHook', attack=_base_.attack, **_base_.objective)]

auto_scale_lr = dict(base_batch_size=4)
