_base_ = '../align/align_pspnet-r50_1xb1-20e_voc2012.py'
