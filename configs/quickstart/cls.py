# What tools/quickstart.py does to a classifier. A defense's number is the lower one of PGD and TI-PGD (docs/attacks.md).
attacks = {
    'PGD': dict(type='PGD', eps=8, step_size=2, steps=10),
    'TI-PGD': dict(type='PGD', eps=8, step_size=2, steps=10, kernel_size=3, kernel_sigma=1),
}
threat_models = ['gray-box', dict(name='adaptive', attacks=['PGD'])]
