"""The objectives that configs are made of: the paper's, the released code's and ours."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'defenses'


@cache
def _config(name: str) -> Config:
    return Config.fromfile(FOLDER / f'objective_{name}.py')


def load(name: str) -> dict:
    """An objective as plain data."""
    return _config(name).to_dict()['objective']


def term(objective: dict, kind: str) -> dict:
    (loss,) = [loss for loss in objective['losses'] if loss['type'] == kind]
    return loss


# What is measured in docs/results.md and trained by default ----------------------------------------------------------

MEASURED = [
    dict(type='PixelReconstructionLoss', loss_weight=50.0),
    dict(type='LSGANLoss', generator_weight=1.0, discriminator_weight=1.0),
    dict(type='FeatureMatchingLoss', loss_weight=10.0),
    dict(type='FeatureReconstructionLoss', loss_weight=4.0),
    dict(type='ClassAlignmentLoss', margin=5.0, hinge=True, align_weight=0.1, inter_weight=0.005, intra_weight=1.0),
]
RECOMMENDED = {
    'recommended': dict(task_weight=2.0, feature_layer='logits', losses=MEASURED),
    'recommended_seg': dict(task_weight=2.0, feature_layer=None, losses=MEASURED),
    'recommended_det': dict(
        task_weight=1.0, feature_layer=None, losses=[*MEASURED[:-1], dict(MEASURED[-1], loss_weight=10.0)]
    ),
}
USERS = {
    'recommended': ['align/align_resnet20_1xb64-8e_cifar10', '_base_/defenses/align_default_cls', 'demo/digits_align'],
    'recommended_seg': [
        'align/align_light-pspnet_1xb4-8e_camvid',
        'align/align_light-pspnet_general_1xb4-8e_camvid',
        '_base_/defenses/align_default_seg',
    ],
    'recommended_det': [
        'align/align_light-ssd_1xb4-8e_bccd',
        'align/align_light-ssd_general_1xb4-8e_bccd',
        '_base_/defenses/align_default_det',
    ],
}


@pytest.mark.parametrize('name', RECOMMENDED)
def test_recommended_is_what_was_measured(name, build):
    assert load(name) == RECOMMENDED[name]
    for user in USERS[name]:
        is_base = user.startswith('_base_')
        config = Config.fromfile(FOLDER.parents[1] / f'{user}.py') if is_base else build(user).config
        (hook,) = config.custom_hooks
        assert {key: hook[key] for key in RECOMMENDED[name]} == RECOMMENDED[name], user
        purifier = config.get('data_preprocessor') or config.model.data_preprocessor
        assert not purifier.get('condition_on_labels'), user


def test_the_measured_config_of_the_paper_s_weights(build):
    built = build('align/align_resnet20_paper-objective_1xb64-8e_cifar10').hook
    assert built.task_weight == 50 and built.feature_layer == 'pre_logits'
    pixel, gan, matching, features, classes = built.losses
    assert (pixel.loss_weight, gan.generator_weight, matching.loss_weight, features.loss_weight) == (50,) * 4
    assert matching.layers is None and gan.discriminator_weight == 1
    assert (classes.hinge, classes.margin, classes.pair_reduction) == (False, 5, 'sum')
    assert classes.weights == dict(loss_align=0.1, loss_inter=1.0, loss_intra=0.005)


# The released code ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('suffix', ['', '_det', '_seg'])
def test_released(suffix):
    """Each point in which it differs from the paper or from what is recommended."""
    objective, without_vgg = load(f'released{suffix}'), load(f'released_no_vgg{suffix}')
    assert objective['task_weight'] == (1 if suffix == '_det' else 2)
    assert objective['feature_layer'] == (None if suffix == '_det' else 'logits')
    assert _config(f'released{suffix}').condition == dict(condition_on_labels=suffix != '_det')
    assert _config(f'released_no_vgg{suffix}').condition == _config(f'released{suffix}').condition
    vgg = term(objective, 'PerceptualLoss')
    assert vgg['network'] == dict(type='TorchvisionVGG', depth=19) and vgg['loss_weight'] == 10
    assert list(vgg['mean']) == list(vgg['std']) == [127.5] * 3, 'it sees [-1, 1]'
    classes = term(objective, 'ClassAlignmentLoss')
    weights = dict(align_weight=0.1, inter_weight=0.005, intra_weight=0.0 if suffix == '_det' else 1.0)
    assert {key: classes[key] for key in weights} == weights and classes['hinge']
    assert classes.get('loss_weight', 1.0) == (10 if suffix == '_det' else 1)
    assert classes.get('intra_reduction', 'class') == ('vector' if suffix == '_seg' else 'class')
    assert classes.get('ignore_index', -100) == (None if suffix == '_seg' else -100)
    assert without_vgg == dict(objective, losses=[loss for loss in objective['losses'] if loss is not vgg])


@pytest.mark.parametrize('kind', ['released', 'released_no_vgg'])
def test_released_for_detectors_changes_the_class_terms_alone(kind):
    detectors, general = load(f'{kind}_det'), load(kind)
    *terms, classes = detectors['losses']
    *general_terms, general_classes = general['losses']
    assert terms == general_terms
    assert classes == dict(general_classes, loss_weight=10.0, intra_weight=0.0)


# The paper -----------------------------------------------------------------------------------------------------------


def test_paper_to_the_letter():
    """Equation 9, section 3.3 and, for the layers of L_m, section 4.7."""
    objective = load('paper')
    assert objective['task_weight'] == 50
    weights = {loss['type']: loss.get('loss_weight', loss.get('generator_weight')) for loss in objective['losses']}
    assert weights.pop('ClassAlignmentLoss') is None and set(weights.values()) == {50.0} and len(weights) == 5
    assert list(term(objective, 'FeatureMatchingLoss')['layers']) == [0, 1, 2, 3, 4]
    assert term(objective, 'ClassAlignmentLoss') == dict(
        type='ClassAlignmentLoss', margin=5.0, hinge=False, align_weight=0.1, inter_weight=1.0, intra_weight=0.005
    )


def test_paper_with_many_classes_differs_in_the_mean_over_pairs_alone():
    literal, many = load('paper'), load('paper_many_classes')
    assert term(many, 'ClassAlignmentLoss').pop('pair_reduction') == 'mean'
    assert many == literal
    assert load('paper_many_classes_det') == dict(load('paper_many_classes'), feature_layer=None)
