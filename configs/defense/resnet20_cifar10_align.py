_base_ = '../align/align_resnet20_1xb64-8e_cifar10.py'
