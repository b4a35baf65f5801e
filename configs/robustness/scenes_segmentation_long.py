# Whether SEA needs more steps for each of its losses: the digit scenes.
_base_ = '../_base_/robustness/segmentation_attacks_long.py'

target = dict(
    config='configs/target/scenes_seg_small.py', checkpoint='work_dirs/scenes_seg_small/epoch_6.pth')

defenses = dict(none=dict())
threat_models = ['gray-box']
num_images = 24
