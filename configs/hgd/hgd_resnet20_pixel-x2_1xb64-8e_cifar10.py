# HGD's appendix B (table 8): the checkpoint of hgd_resnet20_pixel_1xb64-8e_cifar10.py, whose noise is taken off twice.
_base_ = './hgd_resnet20_pixel_1xb64-8e_cifar10.py'

data_preprocessor = dict(noise_scale=2.0)
