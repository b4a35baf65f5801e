# Patches of 5 % of the image on the built-in scenes; configs/target/scenes_seg_small.py says how to train.
_base_ = '../_base_/robustness/patches.py'

target = dict(
    config='configs/target/scenes_seg_small.py', checkpoint='work_dirs/scenes_seg_small/epoch_6.pth')
