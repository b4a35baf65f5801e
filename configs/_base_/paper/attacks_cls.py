# Section 4.5 for classifiers. The paper's PGD is the translation-invariant form; of DeepFool and C&W, which the authors' code
# runs as minimum-norm attacks, the columns show those that use the budget that the paper states. All are in the report.
_base_ = '../attacks/suite_cifar10.py'

attacks = dict(_delete_=True, **{name: _base_.attacks[name] for name in _base_.by_gradient})
columns = {'clean': 'clean', 'PGD': 'TI-PGD', 'DeepFool': 'DeepFool-fill', 'C&W': 'CW'}
