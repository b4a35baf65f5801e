# Patches of 5 % of the image on a light SSD.
_base_ = '../_base_/robustness/patches.py'

target = dict(config='configs/target/light_ssd_bccd.py', checkpoint='checkpoints/light_ssd_bccd.pth')

_losses = dict(objective='cls+loc')
attacks = {'noise': _losses, 'DPatch': _losses, 'AdversarialPatch': _losses}
