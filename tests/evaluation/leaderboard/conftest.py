"""A grid of three defenses and its reports, without a model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Callable

import pytest

from mmadvdefense.evaluation.leaderboard.from_report import rows_from_reports
from mmadvdefense.evaluation.leaderboard.row import Row
from mmadvdefense.evaluation.results import Condition
from mmadvdefense.saving import write_json

GRID = """
target = dict(config='configs/target/tiny.py', checkpoint='checkpoints/tiny.pth')
defenses = dict(
    none=dict(),
    bits=dict(attacks=['PGD', 'AutoAttack'], data_preprocessor=dict(type='BitDepthPurifier', bits=3)),
    align=dict(
        data_preprocessor=dict(
            type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint='zoo://align_resnet20_cifar10'))))
attacks = dict(
    PGD=dict(type='PGD', eps=8, step_size=2.0, steps=10),
    AutoAttack=dict(type='AutoAttack', eps=8))
threat_models = [
    dict(name='gray-box', attacks=['PGD', 'AutoAttack']),
    dict(name='adaptive-bpda', attacks=['AutoAttack'])]
num_images = 50
scales = dict(eight_bit=dict(quantize=True))
leaderboard = dict(
    dataset='CIFAR-10', architecture='Tiny',
    rows=dict(
        none=dict(title='none'),
        bits=dict(
            title='Bit depth 3 | 8', footnote='Not differentiable.',
            reference=dict(title='Feature Squeezing', link='https://arxiv.org/abs/1704.01155')),
        align=dict(title='Align', footnote='Not differentiable.')))
"""
ATTACKS = {
    'PGD': dict(type='PGD', eps=8, step_size=2.0, steps=10),
    'AutoAttack': dict(type='AutoAttack', eps=8),
}
CONFIGS: dict[str, dict] = {
    'none': {},
    'bits': dict(data_preprocessor=dict(type='BitDepthPurifier', bits=3)),
    'align': dict(
        data_preprocessor=dict(
            type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint='zoo://align_resnet20_cifar10')
        )
    ),
}
# Right images of 50: clean, gray-box PGD and AutoAttack, both together, adaptive-bpda.
RIGHT = {'none': (45, 1, 0, 0, None), 'bits': (40, 6, 10, 5, 0), 'align': (44, 40, 42, 39, 3)}
PASSES = {('grid.py', name): 1 for name in CONFIGS}


def _cell(defense: str, threat: str, attack: str, right: int) -> dict[str, Any]:
    clean = threat == 'clean'
    share = 100 * right / 50
    sizes = dict(linf_mean=7.9, linf_max=8.0, l2_mean=330.0, l2_max=365.0)
    condition = Condition(attack) if clean else Condition(attack, dict(ATTACKS[attack]), threat)
    return dict(
        threat_model=threat,
        file='cell',
        condition=condition.as_dict(),
        defense=defense,
        purifier=defense != 'none',
        metrics={'accuracy/top1': share},
        measured={f'perturbation/{name}': 0.0 if clean else size for name, size in sizes.items()},
        scores=dict(images=50, without_truth=0, correct=share, score=share, interval=[0.0, 100.0], changed=None),
        reason=None,
        error=None,
    )


def _report() -> dict[str, Any]:
    cells, together = [], []
    for name, (clean, pgd, autoattack, both, aware) in RIGHT.items():
        cells.append(_cell(name, 'gray-box', 'PGD', pgd))
        cells.append(_cell(name, 'clean', 'clean', clean))
        cells.append(_cell(name, 'gray-box', 'AutoAttack', autoattack))
        together.append(dict(attacker='gray-box', defense=name, correct=2.0 * both))
        if aware is not None:
            cells.append(_cell(name, 'adaptive-bpda', 'AutoAttack', aware))
        together.append(dict(attacker='informed', defense=name, correct=2.0 * (both if aware is None else aware)))
    titles = {'none': None, 'bits': 'BitDepthPurifier', 'align': 'AlignPurifier'}
    return dict(
        format='mmadvdefense robustness report',
        version=2,
        complete=True,
        config='grid.py',
        software=dict(python='3.11', torch='2.1', mmdet=None),
        task='classification',
        metric='accuracy/top1',
        seed=0,
        quantized=False,
        data=dict(images=50, digest='0123'),
        target=dict(config='configs/target/tiny.py', checkpoint='checkpoints/tiny.pth', weights='sha256:' + 'a' * 64),
        defenses={name: dict(config=CONFIGS[name], purifier=titles[name]) for name in CONFIGS},
        attacks={name: dict(config=config, title=name) for name, config in ATTACKS.items()},
        threat_models={name: dict(name=name, attacks=[]) for name in ('gray-box', 'adaptive-bpda')},
        cells=cells,
        worst_case_by_attacker=together,
    )


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """A folder with the grid, in which the test runs."""
    (tmp_path / 'grid.py').write_text(GRID)
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'docs' / 'leaderboard.md').write_text(
        '# Board\n\nBy hand.\n\n<!-- leaderboard -->\n<!-- end of leaderboard -->\n\nMore.\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_report(clone) -> Callable[..., str]:
    """Write the report of the grid, with some of it changed, and return its path."""

    def make(change: Callable[[dict], Any] = lambda report: None, **changes: Any) -> str:
        report = copy.deepcopy(_report())
        report.update(changes)
        change(report)
        name = f'report_{len(list(clone.glob("report_*.json")))}.json'
        write_json(name, report)
        return name

    return make


@pytest.fixture(scope='session')
def _made() -> list[Row]:
    return []


@pytest.fixture
def rows(make_report, _made) -> list[Row]:
    """The rows of the report: none, bits and align."""
    if not _made:
        _made.extend(rows_from_reports([make_report()], PASSES))
    return list(_made)
