# The purifier for attackers who know it, under attacks through purifier and target: APGD on cross-entropy, and APGD on the nine
# other classes of the images that it leaves.
target = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
defenses = dict(
    adaptive=dict(
        data_preprocessor=dict(
            type='AlignPurifier',
            init_cfg=dict(type='Pretrained', checkpoint='zoo/adaptive_resnet20_cifar10.pth'))))
attacks = {
    'APGD, APGD-T': dict(
        type='FirstSuccess',
        attacks=[dict(type='APGD', eps=8, steps=100), dict(type='APGDT', eps=8, steps=100)]),
}
threat_models = ['adaptive']
num_images = 100
test_dataloader = dict(batch_size=100)
