_base_ = '../align/align_wideresnet34-10_1xb64-100e_cifar100.py'
