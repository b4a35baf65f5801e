"""The grids that come with the package, and what a grid's config may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmadvdefense import model_spec
from mmadvdefense.attacks import PGD
from mmadvdefense.attacks.patch.universal_file import Universal
from mmadvdefense.evaluation.grid import config as module
from mmadvdefense.evaluation.grid.config import OPTIONAL, read_grid
from mmadvdefense.evaluation.grid.self_test_settings import SelfTestSettings

CONFIGS = Path(__file__).parents[3] / 'configs'


# Comparisons of which resnet20_cifar10_adaptive.py has the other half, models without a purifier, and OAG, on which an
# attacker would spend minutes an image at every step.
NOT_ADAPTIVE = {
    f'resnet20_cifar10_{name}'
    for name in (
        'objectives',
        'baselines',
        'online',
        'denoising',
        'targeted',
        'minimal',
        'kernels',
        'patches',
        'corruptions',
    )
} | {'bccd_patches', 'resnet152_imagenet_denoising', 'resnet50_ilsvrc_oag', 'scenes_segmentation_patches'}
# Comparisons of attacks on an undefended model.
ATTACKS_ALONE = {'camvid_segmentation', 'camvid_segmentation_long', 'scenes_segmentation', 'scenes_segmentation_long'}


@pytest.fixture
def checked(monkeypatch) -> list[tuple]:
    """Neither checkpoints nor files of attacks need be there; what was asked of which checkpoint."""
    asked: list[tuple] = []
    for loader in (module, model_spec):
        monkeypatch.setattr(loader, 'check_checkpoint', lambda path, trust=False: asked.append((path, trust)))
    budgets = {True: dict(area=0.05), False: dict(eps=8.0)}
    monkeypatch.setattr(Universal, 'load', lambda path, patch: Universal(torch.zeros(3, 32, 32), **budgets[patch]))
    monkeypatch.chdir(CONFIGS.parent)
    return asked


@pytest.mark.parametrize('path', sorted((CONFIGS / 'robustness').glob('*.py')), ids=lambda path: path.stem)
def test_grids_of_the_package(path, checked):
    if path.stem.endswith('_corruptions'):
        pytest.importorskip('imagecorruptions')
    grid = read_grid(Config.fromfile(path))
    threats = {c.threat.name for c in grid.threat_models}
    if path.stem in ATTACKS_ALONE:
        assert set(grid.defenses) == {'none'} and threats == {'gray-box'}
    else:
        assert 'none' in grid.defenses and len(grid.defenses) > 1
        assert 'gray-box' in threats and ('adaptive' in threats or path.stem in NOT_ADAPTIVE)
    assert all(set(column.attacks) <= set(grid.attacks) for column in grid.threat_models)
    assert {path for path, _ in checked} >= {grid.target['checkpoint']}


def _is_pgd(attack: dict, smoothed: bool) -> bool:
    return attack['type'] == 'PGD' and (attack.get('kernel_size') is not None) == smoothed


@pytest.mark.parametrize(
    'path',
    sorted(path for path in (CONFIGS / 'robustness').glob('*.py') if path.stem not in ATTACKS_ALONE),
    ids=lambda path: path.stem,
)
def test_pgd_stands_in_both_forms(path, checked):
    """Smoothed gradients are weaker without a defense and stronger against one: a table of one form flatters."""
    if path.stem.endswith('_corruptions'):
        pytest.importorskip('imagecorruptions')
    grid = read_grid(Config.fromfile(path))
    for column in grid.threat_models:
        attacks = [grid.attacks[name] for name in column.attacks]
        if column.threat.name in ('gray-box', 'transfer') and any(_is_pgd(attack, False) for attack in attacks):
            smoothed = [attack for attack in attacks if _is_pgd(attack, True)]
            assert smoothed, column.threat.title
            assert any(_is_pgd(attack, False) and attack['eps'] == smoothed[0]['eps'] for attack in attacks)
    for names in grid.limited.values():
        assert 'PGD' not in names or 'TI-PGD' in names


@pytest.mark.parametrize('name', ['resnet20_cifar10', 'resnet20_cifar10_objectives', 'resnet20_cifar10_baselines'])
def test_transfer_rows_run_all_kinds_of_deepfool_and_of_carlini_and_wagner(name, checked):
    grid = read_grid(Config.fromfile(CONFIGS / 'robustness' / f'{name}.py'))
    for column in grid.threat_models:
        if column.threat.name in ('gray-box', 'transfer'):
            assert {'PGD', 'TI-PGD', 'DeepFool', 'DeepFool-fill', 'CW', 'CW-L2'} <= set(column.attacks)


def test_distributions_are_those_of_one_attack(checked):
    worst = dict(type='WorstOf', attacks=[dict(type='FGSM', eps=8), dict(type='FGSM', eps=4)])
    with pytest.raises(ValueError, match="distributions takes one attack, and 'both' is the worst of several"):
        _read(checked, attacks=dict(both=worst), distributions=dict(attack='both'))


def _read(checked: list, **changes):
    model = dict(config='configs/target/digits_target.py', checkpoint='a.pth')
    settings = dict(
        target=model,
        defenses=dict(none=None, own={**model, 'checkpoint': None}),
        attacks=dict(FGSM=dict(type='FGSM', eps=8)),
        threat_models=['gray-box', dict(name='transfer', source=[model, {**model, 'trust': True}])],
    )
    return read_grid(Config({**settings, **changes}))


def test_sources_and_defenses(checked):
    grid = _read(checked)
    assert grid.defenses['none'] == {} and grid.defenses['own']['checkpoint'] is None
    assert [source.trust for source in grid.threat_models[1].threat.sources] == [False, True]
    # Two sources and the target; a model that loads itself has none.
    assert checked == [('a.pth', False), ('a.pth', True), ('a.pth', False)]
    trusted = read_grid(Config(dict(
        target=dict(config='configs/target/digits_target.py', checkpoint='a.pth'),
        defenses=dict(none={}), attacks=dict(FGSM=dict(type='FGSM', eps=8)), threat_models=['gray-box'],
    )), trust=True)  # fmt: skip
    assert trusted.target['trust'] and checked[-1] == ('a.pth', True)


def test_models_inside_packages(checked):
    grid = _read(checked, target=dict(config='mmpretrain::resnet/resnet18_8xb16_cifar10.py', checkpoint='a.pth'))
    assert grid.target['config'].startswith('mmpretrain::')


@pytest.mark.parametrize('name', ['defenses', 'attacks', 'threat_models'])
def test_nothing_to_test(checked, name):
    with pytest.raises(ValueError, match=f'{name} is empty'):
        _read(checked, **{name: [] if name == 'threat_models' else {}})


def test_names_of_a_config_s_own(checked):
    """Sources and budgets may have names, as long as they are no slips of settings'."""
    assert _read(checked, source=dict(a=1), eps=8, resnet56='a').seed == 0
    with pytest.raises(ValueError, match="unknown setting 'num_image' of a grid; did you mean 'num_images'"):
        _read(checked, num_image=100)


def test_a_list_of_checkpoints_is_several_trainings(checked):
    model = dict(config='configs/target/digits_target.py')
    grid = _read(checked, defenses=dict(none=None, own={**model, 'checkpoint': ['b.pth', 'c.pth']}))
    assert grid.methods == {'none': ['none'], 'own': ['own #1', 'own #2']}
    assert [grid.defenses[name]['checkpoint'] for name in grid.methods['own']] == ['b.pth', 'c.pth']
    assert [path for path, _ in checked].count('c.pth') == 1


@pytest.mark.parametrize('checkpoints', [[], ['b.pth', 'b.pth']])
def test_trainings_that_are_none_or_not_different(checked, checkpoints):
    with pytest.raises(ValueError, match="defense 'own' takes one checkpoint or several different ones"):
        _read(checked, defenses=dict(own=dict(config='configs/target/digits_target.py', checkpoint=checkpoints)))


def test_a_defense_may_name_the_attacks_that_are_run_on_it(checked):
    model = dict(config='configs/target/digits_target.py')
    own = {**model, 'checkpoint': ['b.pth', 'c.pth'], 'attacks': ['FGSM']}
    grid = _read(checked, defenses=dict(none=None, own=own, filter=dict(attacks=[])))
    assert grid.limited == {'own #1': ['FGSM'], 'own #2': ['FGSM'], 'filter': []}
    assert grid.defenses['filter'] == {} and 'attacks' not in grid.defenses['own #1']
    with pytest.raises(ValueError, match="defense 'own': unknown attack 'FGM'; known: .*FGSM"):
        _read(checked, defenses=dict(own=dict(attacks=['FGM'])))


def test_one_entry_needs_no_list(checked):
    grid = _read(
        checked,
        attacks=dict(FGSM=dict(type='FGSM', eps=8), PGD=dict(type=PGD, eps=8, step_size=2, steps=1)),
        defenses=dict(none=None, filter=dict(attacks='FGSM'), free=dict(attacks=None)),
        threat_models='gray-box',
        layers='backbone',
    )
    assert [column.threat.name for column in grid.threat_models] == ['gray-box']
    assert grid.limited == {'filter': ['FGSM']} and grid.layers == ['backbone']
    # A report can hold it.
    assert grid.attacks['PGD']['type'] == 'PGD'
    for attacks, expected in (('PGD', ['PGD']), ([], []), (None, ['FGSM', 'PGD'])):
        column = dict(name='gray-box', attacks=attacks)
        (read,) = _read(checked, threat_models=[column], attacks=dict(grid.attacks)).threat_models
        assert read.attacks == expected


def test_none_is_the_default(checked):
    nothing = dict.fromkeys(OPTIONAL)
    assert _read(checked, **nothing) == _read(checked)


def test_two_defenses_of_one_name(checked):
    model = dict(config='configs/target/digits_target.py')
    defenses = {'own': {**model, 'checkpoint': ['b.pth', 'c.pth']}, 'own #1': {}}
    with pytest.raises(ValueError, match='have the same name'):
        _read(checked, defenses=defenses)


def test_the_former_key_of_defenses(checked):
    """Old grids are still read; the message names the key of today."""
    model = dict(config='configs/target/digits_target.py', checkpoint='a.pth')
    old = dict(
        target=model,
        defences=dict(none=None, own={**model, 'checkpoint': None}),
        attacks=dict(FGSM=dict(type='FGSM', eps=8)),
        threat_models=['gray-box', dict(name='transfer', source=[model, {**model, 'trust': True}])],
    )
    with pytest.warns(FutureWarning, match="'defences' of a grid is deprecated: rename it to 'defenses'"):
        assert read_grid(Config(old)) == _read(checked)
    with pytest.raises(ValueError, match="both 'defenses' and 'defences'"):
        read_grid(Config({**old, 'defenses': old['defences']}))


def test_one_draw_of_a_random_defense_is_refused(checked):
    assert _read(checked).defense_samples == 10 and _read(checked, defense_samples=4).defense_samples == 4
    with pytest.raises(ValueError, match=r'one draw of each random defense alone.*defense_samples=10.*fixed=True'):
        _read(checked, defense_samples=1)
    with pytest.raises(ValueError, match='defense_samples must be an integer >= 1, got 0.5'):
        _read(checked, defense_samples=0.5)


def test_self_tests_are_off_unless_asked_for(checked):
    assert _read(checked).self_test is None and _read(checked, self_test=False).self_test is None
    assert _read(checked, self_test=True).self_test == SelfTestSettings(num_images=50, drop=0.5)
    assert _read(checked, self_test=dict(num_images=20)).self_test == SelfTestSettings(num_images=20, drop=0.5)
    for given, message in (
        (dict(num_image=5), "self_test has no setting 'num_image'; did you mean num_images"),
        (dict(num_images=0), 'num_images must be an integer >= 1, got 0'),
        (dict(drop=1.5), 'drop is a share of the score, above 0 and at most 1, got 1.5'),
        ('yes', "self_test must be True, False or a dict of num_images, drop, got 'yes'"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            _read(checked, self_test=given)
