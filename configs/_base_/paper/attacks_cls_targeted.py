# Section 4.10: towards each of the nine most likely wrong classes, the worst on the tested model.
_base_ = '../attacks/suite_cifar10.py'

attacks = dict(
    _delete_=True,
    **{
        name: dict(type='EachTarget', attack=_base_.attacks[name], num_targets=9)
        for name in ('PGD', 'TI-PGD', 'DeepFool-fill', 'CW')
    })
columns = {'clean': 'clean', 'PGD': 'TI-PGD', 'DeepFool': 'DeepFool-fill', 'C&W': 'CW'}
