"""The cells of a grid: the threat models that a defense is tested under, and the names of finished cells."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmadvdefense.digests import value_digest
from mmadvdefense.evaluation.grid.config import GridConfig, ThreatColumn
from mmadvdefense.evaluation.grid.defenses import Defense
from mmadvdefense.evaluation.grid.plan import _cells, _threat_settings
from mmadvdefense.purifiers import Purifier
from mmadvdefense.threats import ThreatModel

ATTACKS = {
    'PGD': dict(type='PGD', eps=8, step_size=2, steps=2),
    'DeepFool': dict(type='DeepFool', eps=8, success_threshold=0.9),
}


def _plan(threats: list[ThreatModel], purifier: type[Purifier] | None, **kind: bool) -> list:
    columns = [ThreatColumn(threat, list(ATTACKS)) for threat in threats]
    config = GridConfig({}, {}, {}, {}, attacks=ATTACKS, threat_models=columns)
    parts = {'defenses': {'align': 'its settings'}, 'attacks': ATTACKS}
    settings = {threat.title: _threat_settings(threat, None) for threat in threats}
    return _cells(config, Defense('align', Config(), None, purifier, **kind), {'seed': 0}, parts, settings)


def test_cells_of_the_first_version_are_found_again():
    """Their fingerprints were made with the words of that time."""
    gray, adaptive, eot = ThreatModel('gray-box'), ThreatModel('adaptive'), ThreatModel('adaptive-eot', eot_samples=2)
    clean, *cells = _plan([gray, adaptive, eot], Purifier)
    own = {'seed': 0, 'defence': 'its settings'}
    assert clean.fingerprint == value_digest(own)
    found = {(cell.threat, cell.condition.name): cell.fingerprint for cell in cells}
    for title, name, draws in (
        ('gray-box', 'white-box', None), ('adaptive', 'adaptive-full', None), (eot.title, 'adaptive-eot', 2),
    ):  # fmt: skip
        threat = {'name': name, 'draws': draws, 'substitute': None, 'sources': []}
        deepfool = {'type': 'DeepFool', 'eps': 8, 'pixel_share': 0.9}
        assert found[title, 'DeepFool'] == value_digest({**own, 'attack': deepfool, 'threat_model': threat})
        assert found[title, 'PGD'] == value_digest({**own, 'attack': ATTACKS['PGD'], 'threat_model': threat})


@pytest.mark.parametrize(
    'names, expected',
    [
        (['gray-box', 'adaptive', 'adaptive-bpda', 'query'], ['gray-box', 'query']),
        (['adaptive', 'gray-box'], ['gray-box']),
        (['query', 'adaptive-bpda', 'adaptive'], ['query', 'adaptive-bpda']),
    ],
)
def test_without_a_purifier_adaptive_is_gray_box_and_run_once(names, expected):
    threats = [ThreatModel(name) for name in names]
    cells = _plan(threats, None)[1:]
    assert list(dict.fromkeys(cell.threat for cell in cells)) == expected
    run = {cell.threat: cell.condition.threat_model.name for cell in cells}
    assert set(run.values()) <= {'gray-box', 'query'} and len(cells) == 2 * len(expected)
    assert {cell.threat for cell in _plan(threats, Purifier)[1:]} == set(names)


def test_a_fixed_draw_has_no_mean():
    """EOT is adaptive there, and run once."""
    eot, adaptive = ThreatModel('adaptive-eot'), ThreatModel('adaptive')
    for threats, expected in (([eot], [eot.title]), ([adaptive, eot], ['adaptive']), ([eot, adaptive], ['adaptive'])):
        cells = _plan(threats, Purifier, fixed=True)[1:]
        assert list(dict.fromkeys(cell.threat for cell in cells)) == expected
        assert {cell.condition.threat_model.name for cell in cells} == {'adaptive'}
    assert len(_plan([adaptive, eot], Purifier, random=True)) == 5


def test_the_number_of_draws_is_part_of_a_random_cell():
    clean, *_ = _plan([], Purifier, random=True)
    assert clean.fingerprint == value_digest({'seed': 0, 'defence': 'its settings', 'defense_samples': 10})
