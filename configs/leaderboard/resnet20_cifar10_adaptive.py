# A row of docs/leaderboard.md: the purifier of the zoo that was trained for attackers who know it. AutoAttack takes most of a minute for
# each image that it has to give up.
_base_ = '../_base_/leaderboard/cifar10.py'

defenses = dict(
    adaptive=dict(
        attacks=_base_.differentiable,
        data_preprocessor=dict(
            type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint='zoo://adaptive_resnet20_cifar10'))))
num_images = 100
test_dataloader = dict(batch_size=100)
leaderboard = dict(
    dataset='CIFAR-10',
    architecture='ResNet-20',
    rows=dict(
        adaptive=dict(
            title='adaptive purifier', footnote='Draws the class probabilities of an adversarially trained encoder; its output is no picture.')))
