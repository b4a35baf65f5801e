_base_ = '../align/align_light-ssd_1xb4-8e_bccd.py'
