"""Sets of attacks are taken apart, and what has no attacker runs where there is none."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmadvdefense.attacks.external import corruptions
from mmadvdefense.evaluation.grid.config import read_grid
from mmadvdefense.evaluation.grid.grid_attacks import GridAttacks

PGD = dict(type='PGD', eps=8, step_size=2, steps=3)
SET = dict(type='ImageNetC', severity=2, corruptions=['fog', 'snow'])
FOG, SNOW = (dict(type='Corruption', corruption=name, severity=2) for name in ('fog', 'snow'))


@pytest.fixture(autouse=True)
def _library(monkeypatch):
    """Nothing is corrupted here."""
    monkeypatch.setattr(corruptions, '_library', lambda: None)


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read a grid with these settings."""
    for name in ('target.py', 'target.pth'):
        (tmp_path / name).write_text('')
    monkeypatch.setattr('mmadvdefense.model_spec.check_checkpoint', lambda path, trust=False: None)
    target = dict(config=str(tmp_path / 'target.py'), checkpoint=str(tmp_path / 'target.pth'))

    def run(attacks, threat_models, none=None):
        return read_grid(
            Config(dict(target=target, defenses=dict(none=none or {}), attacks=attacks, threat_models=threat_models))
        )

    return run


def test_a_set_is_its_members():
    attacks = GridAttacks.read({'PGD': PGD, 'all': SET})
    assert attacks.configs == {'PGD': PGD, 'all: fog': FOG, 'all: snow': SNOW}
    assert attacks.of(natural=False) == ['PGD'] and attacks.of(natural=True) == ['all: fog', 'all: snow']
    assert attacks.named(['all', 'PGD'], 'x') == ['all: fog', 'all: snow', 'PGD']
    assert attacks.named(['all: snow'], 'x') == ['all: snow']
    with pytest.raises(ValueError, match="x: unknown attack 'fog'; known: .*'PGD', 'all'"):
        attacks.named(['fog'], 'x')
    with pytest.raises(ValueError, match="two attacks have the name 'all: fog'"):
        GridAttacks.read({'all: fog': PGD, 'all': SET})


def test_who_runs_what(read):
    grid = read({'PGD': PGD, 'all': SET}, ['gray-box', 'natural'], none=dict(attacks=['all']))
    assert [(column.threat.name, column.attacks) for column in grid.threat_models] == [
        ('gray-box', ['PGD']),
        ('natural', ['all: fog', 'all: snow']),
    ]
    assert grid.limited == {'none': ['all: fog', 'all: snow']}


def test_nothing_is_left_out_in_silence(read):
    with pytest.raises(ValueError, match="attack 'all' has no attacker: add 'natural' to threat_models"):
        read({'PGD': PGD, 'all': SET}, 'gray-box')
    with pytest.raises(ValueError, match=r"'natural' has nothing to run: add corruptions=dict\(type='ImageNetC'"):
        read({'PGD': PGD}, ['gray-box', 'natural'])
