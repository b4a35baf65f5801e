_base_ = '../align/align_light-pspnet_1xb4-8e_camvid.py'
