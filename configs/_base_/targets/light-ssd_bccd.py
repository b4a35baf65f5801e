# A narrow SSD on BCCD.
_base_ = ['../models/light_ssd.py', '../datasets/bccd_small.py', '../default_runtime_det.py']
