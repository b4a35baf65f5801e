_base_ = '../align/align_pspnet-r50_1xb4-80e_camvid.py'
