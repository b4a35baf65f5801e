# Patches of 5 % of the image, and perturbations and patches that are the same for all images: docs/attacks.md, where the
# commands are that fit the two files.
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')

defenses = dict(
    none=dict(),
    jpeg=dict(data_preprocessor=dict(type='JPEGPurifier', quality=75)),
    median=dict(data_preprocessor=dict(type='MedianFilterPurifier')))
attacks = {
    'DPatch': dict(type='DPatch', area=0.05, steps=30),
    'AdversarialPatch': dict(type='AdversarialPatch', area=0.05, steps=30),
    'UniversalPatch': dict(type='UniversalPatch', file='work_dirs/universal/patch_resnet20.pth'),
    'UAP': dict(type='UniversalPerturbation', file='work_dirs/universal/uap_resnet20.pth'),
    'RandomSign': dict(type='RandomSign', eps=8),
}
threat_models = ['gray-box']
num_images = 200
test_dataloader = dict(batch_size=100, num_workers=0)
