_base_ = '../align/align_resnet50_1xb64-100e_cifar10.py'
