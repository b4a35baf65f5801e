# What a segmentation config gets that names HGDPurifier and nothing else: DUNET guided by the logits of every pixel. HGD
# is about classifiers; its attacks are taken as they are.
_base_ = './hgd_default_cls.py'
