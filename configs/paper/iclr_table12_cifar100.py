_base_ = [
    '../_base_/paper/wideresnet_cifar100.py',
    '../_base_/paper/defenses.py',
    '../_base_/paper/attacks_cls.py',
    '../_base_/paper/iclr_table12.py',
]
