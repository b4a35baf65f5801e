_base_ = [
    '../_base_/paper/pspnet_cityscapes.py',
    '../_base_/paper/defenses_dense.py',
    '../_base_/paper/attacks_seg.py',
    '../_base_/paper/table10.py',
]
