_base_ = [
    '../_base_/paper/pspnet_voc2012.py',
    '../_base_/paper/defenses_dense.py',
    '../_base_/paper/attacks_seg.py',
    '../_base_/paper/iclr_table4.py',
]
