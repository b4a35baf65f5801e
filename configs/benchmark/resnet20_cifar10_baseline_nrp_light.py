# NRP with its light network. Otherwise resnet20_cifar10_baseline_nrp.py.
_base_ = './resnet20_cifar10_baseline_nrp.py'

data_preprocessor = dict(generator=dict(light=True))
