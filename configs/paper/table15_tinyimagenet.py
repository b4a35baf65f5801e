_base_ = [
    '../_base_/paper/wideresnet_tinyimagenet.py',
    '../_base_/paper/defenses.py',
    '../_base_/paper/attacks_cls.py',
    '../_base_/paper/table15.py',
]
