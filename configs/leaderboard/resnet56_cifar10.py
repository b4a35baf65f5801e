# Rows of docs/leaderboard.md: ResNet-56 on CIFAR-10, behind nothing and behind a purifier of the zoo that was trained in front of
# ResNet-20.
_base_ = '../_base_/leaderboard/cifar10.py'

target = dict(config='configs/target/resnet56_cifar10.py', checkpoint='checkpoints/resnet56_cifar10.pth')
source = dict(config='configs/target/resnet20_cifar10.py', checkpoint='checkpoints/resnet20_cifar10.pth')
strong = ['PGD', 'TI-PGD', 'DI-FGSM', 'AutoAttack']
defenses = dict(
    none=dict(attacks=strong),
    general=dict(
        attacks=strong,
        data_preprocessor=dict(
            type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint='zoo://general_resnet20_cifar10'))))
threat_models = [
    dict(name='gray-box', attacks=strong),
    dict(name='transfer', source=source, attacks=strong[:3]),
    dict(name='adaptive', attacks=['AutoAttack']),
]
num_images = 50
test_dataloader = dict(batch_size=50)
scales = dict(eight_bit=dict(threat_models=[dict(name='adaptive', attacks=['AutoAttack'])]))
leaderboard = dict(
    dataset='CIFAR-10',
    architecture='ResNet-56',
    rows=dict(
        none=dict(title='no defense'),
        general=dict(
            title='general purifier', footnote='Trained in front of ResNet-20, and put in front of another model as it is.')))
