_base_ = '../align/align_deeplabv3-r50_1xb4-80e_camvid.py'
