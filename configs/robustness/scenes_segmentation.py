# Attacks that only segmentors have, on the built-in scenes; configs/target/scenes_seg_small.py says how to train.
_base_ = '../_base_/robustness/segmentation_attacks.py'

target = dict(
    config='configs/target/scenes_seg_small.py', checkpoint='work_dirs/scenes_seg_small/epoch_6.pth')

defenses = dict(none=dict())
threat_models = ['gray-box']
num_images = 24
