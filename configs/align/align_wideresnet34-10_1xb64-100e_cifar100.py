# Align as in the paper (sections 4.2 to 4.5), but for the mean over pairs of classes in the objective.
_base_ = [
    '../_base_/targets/wideresnet34-10_cifar100.py',
    '../_base_/defenses/align_paper_many_classes_cls.py',
    '../_base_/schedules/align_100e.py',
]

load_from = 'checkpoints/wideresnet_cifar100.pth'
# The archives hold RGB images, which the perceptual loss has to know.
data_preprocessor = dict(type='AlignPurifier', channel_order='rgb', **_base_.purifier)
