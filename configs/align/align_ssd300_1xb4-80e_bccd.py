# The paper's setting for VOC07+12 on blood cells: needs a GPU.
_base_ = [
    '../_base_/targets/ssd300_bccd.py',
    '../_base_/defenses/align_paper_det.py',
    '../_base_/schedules/align_80e.py',
]

load_from = 'checkpoints/ssd_bccd.pth'
model = dict(data_preprocessor=dict(type='AlignPurifier', **_base_.purifier))

auto_scale_lr = dict(base_batch_size=4)
