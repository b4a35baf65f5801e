# Rows of docs/leaderboard.md: ResNet-20 on CIFAR-10, behind nothing, behind transforms without weights, and behind purifiers of
# the zoo.
_base_ = '../_base_/leaderboard/cifar10.py'


def purifier(name):
    return dict(
        attacks=_base_.differentiable,
        data_preprocessor=dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=f'zoo://{name}_resnet20_cifar10')))


defenses = dict(
    none=dict(attacks=_base_.differentiable),
    general=purifier('general'),
    mean_filter=dict(attacks=_base_.differentiable, data_preprocessor=dict(type='MeanFilterPurifier')),
    median_filter=dict(attacks=_base_.differentiable, data_preprocessor=dict(type='MedianFilterPurifier')),
    align=purifier('align'),
    general_integer=purifier('general_integer'),
    general_fractional=purifier('general_fractional'),
    general_logits=purifier('general_logits'))
num_images = 100
test_dataloader = dict(batch_size=100)
_xu = dict(title='Xu et al., Feature Squeezing, NDSS 2018', link='https://arxiv.org/abs/1704.01155')
leaderboard = dict(
    dataset='CIFAR-10',
    architecture='ResNet-20',
    rows=dict(
        none=dict(title='no defense'),
        mean_filter=dict(
            title='mean filter, 3 x 3',
            reference=dict(
                title='Li and Li, Adversarial Examples Detection in Deep Networks with Convolutional Filter Statistics, ICCV 2017',
                link='https://arxiv.org/abs/1612.07767')),
        median_filter=dict(title='median filter, 3 x 3', reference=_xu),
        align=dict(
            title='Align',
            footnote="The paper's training attack at a small size: zoo/metafile.yml.",
            reference=dict(
                title='Xu et al., General Adversarial Defense Against Black-box Attacks via Pixel Level and Feature Level '
                'Distribution Alignments, arXiv 2022',
                link='https://arxiv.org/abs/2212.05387')),
        general=dict(
            title='general purifier', footnote='Trained on six kinds of attack, with a budget for each image, many of them small.'),
        general_integer=dict(title='general purifier, integer budgets', footnote='The first part of the training of the general purifier.'),
        general_logits=dict(title='general purifier, on logits', footnote='Integer budgets, trained on logits alone.'),
        general_fractional=dict(
            title='general purifier, fractional budgets', footnote='The first two parts of the training of the general purifier.')))
