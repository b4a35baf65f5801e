_base_ = '../align/align_pspnet-r50_1xb1-80e_cityscapes.py'
