_base_ = [
    '../_base_/paper/resnet50_cifar100.py',
    '../_base_/paper/defenses_of_source.py',
    '../_base_/paper/attacks_cls.py',
    '../_base_/paper/iclr_table15.py',
]
