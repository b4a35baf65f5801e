# Align as in the paper (sections 4.2 to 4.5), but for the mean over pairs of classes in the objective.
_base_ = [
    '../_base_/targets/resnet50_tinyimagenet.py',
    '../_base_/defenses/align_paper_many_classes_cls.py',
    '../_base_/schedules/align_30e.py',
]

load_from = 'checkpoints/resnet50_tinyimagenet.pth'
data_preprocessor = dict(type='AlignPurifier', **_base_.purifier)
