# The paper's setting for Cityscapes on CamVid, whose small images the generator takes as they are: needs a GPU.
_base_ = [
    '../_base_/targets/deeplabv3-r50_camvid.py',
    '../_base_/defenses/align_paper_seg.py',
    '../_base_/schedules/align_80e.py',
]

load_from = 'checkpoints/deeplabv3_camvid.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', **_base_.purifier))

auto_scale_lr = dict(base_batch_size=4)
