_base_ = '../align/align_deeplabv3-r50_1xb1-80e_cityscapes.py'
