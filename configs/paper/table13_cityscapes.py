_base_ = [
    '../_base_/paper/deeplabv3_cityscapes.py',
    '../_base_/paper/defenses_of_source_dense.py',
    '../_base_/paper/attacks_seg.py',
    '../_base_/paper/table13.py',
]
