# Align as in the paper (sections 4.2 to 4.5), but for the mean over pairs of classes in the objective.
_base_ = [
    '../_base_/targets/ssd300_voc0712.py',
    '../_base_/defenses/align_paper_many_classes_det.py',
    '../_base_/schedules/align_80e.py',
]

load_from = 'checkpoints/ssd_voc.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', **_base_.purifier))

auto_scale_lr = dict(base_batch_size=4)
