# Align as in the paper (sections 4.2 to 4.5).
_base_ = [
    '../_base_/targets/resnet50_cifar10.py',
    '../_base_/defenses/align_paper_cls.py',
    '../_base_/schedules/align_100e.py',
]

load_from = 'checkpoints/resnet50_cifar10.pth'
# The archives hold RGB images, which the perceptual loss has to know.
data_preprocessor = dict(type='AlignPurifier', channel_order='rgb', **_base_.purifier)
