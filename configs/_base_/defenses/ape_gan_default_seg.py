# What a segmentation config gets that names APEGANPurifier and nothing else: FGSM on the loss of all pixels, and the rest
# as for classifiers, since no part of it knows a class.
_base_ = './ape_gan_default_cls.py'
