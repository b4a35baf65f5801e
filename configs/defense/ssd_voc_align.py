_base_ = '../align/align_ssd300_1xb4-80e_voc0712.py'
