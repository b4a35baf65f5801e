"""The attacks of the papers, with the numbers that the papers give."""

import math
from pathlib import Path

import pytest
from mmengine.config import Config

from mmadvdefense.attacks import build_attack

CONFIGS = Path(__file__).parents[3] / 'configs'
FOLDER = CONFIGS / 'attacks'


def load(name):
    return build_attack(Config.fromfile(FOLDER / f'{name}.py').attack)


@pytest.mark.parametrize(
    'name, eps, targeted, momentum',
    [
        ('oag_fgsm_test', 6, 'random', None),
        ('oag_igsm_test', 6, 'random', None),
        ('oag_mifgsm_imagenet_test', 2, False, 1.0),
        ('oag_mifgsm_flowers_test', 4, False, 1.0),
    ],
)
def test_oag(name, eps, targeted, momentum):
    attack = load(name)
    assert (attack.eps, attack.targeted, attack.momentum) == (eps, targeted, momentum)
    if name != 'oag_fgsm_test':
        assert (attack.steps, attack.step_size) == (min(eps + 4, math.ceil(1.25 * eps)), 1)


@pytest.mark.parametrize('path', sorted(FOLDER.glob('hgd_*fgsm*.py')), ids=lambda path: path.stem)
def test_steps_of_hgd_add_up_to_the_budget(path):
    attack = load(path.stem)
    for part in getattr(attack, 'attacks', [attack]):
        assert math.isclose(sum(part.step_sizes), part.eps) and part.momentum is None and not part.stochastic
    if 'difgsm' in path.stem:
        assert list(attack.step_sizes) == sorted(attack.step_sizes, reverse=True) and len(set(attack.step_sizes)) == 4
    if 'ada' in path.stem:
        assert [part.steps for part in attack.attacks] == [1, 2, 4, 8, 16]


TABLE_V = {
    'SSP': 'ssp_cls_test',
    'FDA': 'fda_cls_test',
    'TAP': 'tap_cls_test',
    'MI': 'mifgsm_cls_test',
    'Auto': 'apgd_cls_test',
    'Square': 'square',
    'SquareCE': 'square_ce',
    'CuWh': 'curls_whey',
    'DIM': 'dim_cls_test',
    'PPDA': 'ppda',
    'GeoDA': 'geoda',
    'SF': 'sign_flip',
    'DR': 'dr_cls_test',
}


def test_table_v_of_align():
    """Section 4.5: the suite and the configs of its columns say the same, in the paper's numbers."""
    suite = Config.fromfile(CONFIGS / '_base_' / 'attacks' / 'suite_table_v.py').attacks
    assert list(suite) == list(TABLE_V)
    for column, name in TABLE_V.items():
        assert suite[column] == Config.fromfile(FOLDER / f'{name}.py').attack, column
        assert suite[column]['eps'] == 0.031 * 255
    for column in ('SSP', 'FDA', 'TAP', 'MI', 'DIM', 'DR'):
        assert (suite[column].steps, suite[column].step_size) == (100, 0.0075 * 255), column
    assert suite.MI.momentum == suite.DIM.momentum == 1.0 and suite.DIM.diversity == 0.5
    assert suite.DIM.kernel_size == 3
    assert suite.TAP.label_weight == 1.0
    assert [suite[column].queries for column in ('Square', 'SquareCE')] == [10000] * 2
    assert suite.Square.p_init == suite.SquareCE.p_init == 0.3
    auto = suite.Auto
    assert (auto.name, auto.loss, auto.steps, auto.n_restarts, auto.rho) == ('APGD', 'ce', 1000, 5, 0.75)
    assert (suite.CuWh.steps, suite.CuWh.noise_std**2, suite.CuWh.rounds) == (100, pytest.approx(2), 12)
    assert (suite.PPDA.queries, suite.PPDA.dimensions, suite.PPDA.step_size) == (4000, 1500, 0.0075 * 255)
    assert (suite.GeoDA.queries, suite.GeoDA.ratio, suite.GeoDA.subspace) == (4000, 0.6, 75)
    assert (suite.SF.queries, suite.SF.reduction) == (20000, 2.0)


@pytest.mark.parametrize('name', ['pgd', 'pgd_ti'])
def test_align_in_its_targeted_form(name):
    worst, untargeted = load(f'{name}_top9_cls_test'), load(f'{name}_cls_test')
    attacks = [candidate.attack for candidate in worst.candidates(num_classes=10)]
    assert [attack.targeted for attack in attacks] == [f'top_wrong_{rank}' for rank in range(1, 10)]
    for attack in attacks:
        for option in ('eps', 'step_sizes', 'random_start', 'kernel_size', 'kernel_sigma', 'momentum'):
            assert getattr(attack, option) == getattr(untargeted, option)


@pytest.mark.parametrize('name', ['carlini_wagner', 'deepfool_fill'])
def test_minimal_attacks_have_the_targeted_form_too(name):
    worst, untargeted = load(f'{name}_top9_cls_test'), load(f'{name}_cls_test')
    attacks = [candidate.attack for candidate in worst.candidates(num_classes=10)]
    assert [attack.targeted for attack in attacks] == [f'top_wrong_{rank}' for rank in range(1, 10)]
    assert all((attack.eps, attack.steps) == (untargeted.eps, untargeted.steps) for attack in attacks)


def test_align_as_released():
    """Of the authors' evaluator: foolbox's L2 attack clipped to 0.031 of the range in L2, and DeepFool clipped."""
    released = load('carlini_wagner_released_cls_test')
    assert (released.norm, released.steps, released.binary_search_steps) == ('l2', 10, 9)
    assert (released.descend.learning_rate, released.initial_const) == (0.0075, 1e-3)
    assert released.eps == pytest.approx(7.905)
    clipped, filled = load('deepfool_cls_test'), load('deepfool_fill_cls_test')
    assert (clipped.eps, clipped.norm, clipped.fill) == (filled.eps, filled.norm, False) and filled.fill
