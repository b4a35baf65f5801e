# Five objectives with one and the same U-Net, training attack and schedule: what the objective alone is worth. Train them
# first: python benchmarks/train_seeds.py configs/benchmark/resnet20_cifar10_unet_{align,pixel,feature,logits,label}.py
_base_ = '../_base_/robustness/cifar10_baselines.py'


def trainings(name):
    return dict(
        config=f'configs/benchmark/resnet20_cifar10_unet_{name}.py',
        checkpoint=[f'work_dirs/resnet20_cifar10_unet_{name}_seed{seed}/iter_400.pth' for seed in range(3)])


defenses = dict(
    none=dict(),
    align=trainings('align'),
    pixel=trainings('pixel'),
    feature=trainings('feature'),
    logits=trainings('logits'),
    label=trainings('label'))
layers = [
    'backbone.conv1', 'backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'neck', 'head.fc'
]
