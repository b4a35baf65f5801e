_base_ = [
    '../_base_/paper/ssd_voc0712.py',
    '../_base_/paper/defenses_dense.py',
    '../_base_/paper/attacks_det.py',
    '../_base_/paper/iclr_table4.py',
]
