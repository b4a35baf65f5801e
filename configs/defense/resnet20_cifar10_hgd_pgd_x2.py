# "PGD x2" of HGD's appendix B (table 8): the checkpoint of resnet20_cifar10_hgd_pgd, whose noise is taken off twice.
_base_ = './resnet20_cifar10_hgd_pgd.py'

data_preprocessor = dict(noise_scale=2.0)
