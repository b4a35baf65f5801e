# Whether SEA needs more steps for each of its losses: CamVid. A few cells take a quarter of an hour each: --list-cells and --cell.
_base_ = '../_base_/robustness/segmentation_attacks_long.py'

target = dict(config='configs/target/light_pspnet_camvid.py', checkpoint='checkpoints/light_pspnet_camvid.pth')

defenses = dict(none=dict())
threat_models = ['gray-box']
num_images = 24
