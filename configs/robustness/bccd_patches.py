# Patches of 5 % of the image on a light SSD. The noise has the place of DPatch: it tells what mere occlusion costs.
target = dict(config='configs/target/light_ssd_bccd.py', checkpoint='checkpoints/light_ssd_bccd.pth')

defenses = dict(none=dict(), median=dict(data_preprocessor=dict(type='MedianFilterPurifier')))
_patch = dict(area=0.05, steps=30, objective='cls+loc')
attacks = {
    'noise': dict(type='DPatch', **dict(_patch, steps=1, step_size=0.001)),
    'DPatch': dict(type='DPatch', **_patch),
    'AdversarialPatch': dict(type='AdversarialPatch', **_patch),
}
threat_models = ['gray-box']
num_images = 24
test_dataloader = dict(batch_size=12, num_workers=0)
