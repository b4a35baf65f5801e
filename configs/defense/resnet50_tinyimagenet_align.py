_base_ = '../align/align_resnet50_1xb16-30e_tinyimagenet.py'
