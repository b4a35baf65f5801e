_base_ = '../align/align_wideresnet34-10_1xb16-30e_tinyimagenet.py'
