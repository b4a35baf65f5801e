_base_ = '../align/align_rfbnet300_1xb4-80e_bccd.py'
