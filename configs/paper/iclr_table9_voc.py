_base_ = [
    '../_base_/paper/rfbnet_voc0712.py',
    '../_base_/paper/defenses_dense.py',
    '../_base_/paper/attacks_det.py',
    '../_base_/paper/iclr_table9.py',
]
