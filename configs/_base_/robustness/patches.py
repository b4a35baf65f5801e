# Patches of 5 % of the image on a dense task. The noise has the place of DPatch: it tells what mere occlusion costs.
defenses = dict(none=dict(), median=dict(data_preprocessor=dict(type='MedianFilterPurifier')))
attacks = {
    'noise': dict(type='DPatch', area=0.05, steps=1, step_size=0.001),
    'DPatch': dict(type='DPatch', area=0.05, steps=30),
    'AdversarialPatch': dict(type='AdversarialPatch', area=0.05, steps=30),
}
threat_models = ['gray-box']
num_images = 24
test_dataloader = dict(batch_size=12, num_workers=0)
