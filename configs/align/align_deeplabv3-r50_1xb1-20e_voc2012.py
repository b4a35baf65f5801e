# Align as in the paper (sections 4.2 to 4.5), but for the mean over pairs of classes in the objective.
_base_ = [
    '../_base_/targets/deeplabv3-r50_voc2012.py',
    '../_base_/defenses/align_paper_many_classes_seg.py',
    '../_base_/schedules/align_20e.py',
]

load_from = 'checkpoints/deeplabv3_voc2012.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', tile_size=_base_.crop_size, **_base_.purifier))

auto_scale_lr = dict(base_batch_size=1)
