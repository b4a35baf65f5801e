_base_ = 'mmpretrain::inception_v3/inception-v3_8xb32_in1k.py'
