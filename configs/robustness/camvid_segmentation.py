# Attacks that only segmentors have, on CamVid, a light PSPNet.
_base_ = '../_base_/robustness/segmentation_attacks.py'

target = dict(config='configs/target/light_pspnet_camvid.py', checkpoint='checkpoints/light_pspnet_camvid.pth')

defenses = dict(none=dict())
threat_models = ['gray-box']
num_images = 24
