"""Rows from the reports of ``tools/robustness.py``, which have all their numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config

from ...attacks import build_attack
from ...digests import canonical_json, file_digest
from ...errors import UsageError
from ...tasks import has_one_label
from ..attackers import attacker_groups
from ..grid.grid_attacks import GridAttacks
from ..grid.protocol import at_scale, filled
from ..grid.versions import read_report
from ..results import CLEAN, percent
from ..statistics import share_interval
from .receipts import entry_of, exports, grid_command, grid_entry
from .row import FORMAT, GROUPS, VERSION, Measured, Receipt, Reference, Row, Target, runs_autoattack

_DIGITS = 4
# The norms as RobustBench writes them.
NORMS = {'linf': 'Linf', 'l2': 'L2'}


def rows_from_reports(paths: Sequence[Union[str, Path]], passes: Mapping[tuple[str, str], int]) -> list[Row]:
    """One row for each defense that the configs of the grids describe.

    The config of a grid has ``leaderboard = dict(dataset=..., architecture=..., rows=dict(DEFENSE=dict(title=...,
    reference=dict(title=..., link=...), footnote=...)))``. Images of 8 bits are in a report of their own, of the same
    grid at a scale with ``quantize=True``.

    Args:
        paths: of reports.
        passes: forward passes of the target for one prediction, by grid and defense.

    Raises:
        UsageError: for a report that is incomplete, was made with other settings than its config states, or is of 8
            bits alone.
    """
    reports = [_checked(path) for path in paths]
    plain = {report['config']: report for report in reports if not report['quantized']}
    rounded = {report['config']: report for report in reports if report['quantized']}
    lonely = sorted(set(rounded) - set(plain))
    if lonely:
        raise UsageError(f'{lonely[0]}: add its report of images that are not rounded together with that of 8 bits')
    rows = []
    for grid, report in plain.items():
        texts = leaderboard_texts(grid)
        for defense in texts['rows']:
            rows.append(_row(report, rounded.get(grid), defense, texts, passes[grid, defense]))
    return rows


def leaderboard_texts(grid: str) -> dict[str, Any]:
    """What the config of a grid says about its rows.

    Raises:
        UsageError: if it says nothing.
    """
    texts = Config.fromfile(grid).get('leaderboard')
    if texts is None or not {'dataset', 'architecture', 'rows'} <= set(texts):
        raise UsageError(
            f'{grid} has no leaderboard = dict(dataset=..., architecture=..., rows=...), from which its rows get their '
            'names (docs/leaderboard.md)'
        )
    return texts.to_dict()


def _checked(path: Union[str, Path]) -> dict[str, Any]:
    """A report that the config of its grid makes as it is."""
    report = read_report(path)
    if 'cells' not in report or not report['complete']:
        raise UsageError(f'{path} is not the report of a finished grid: run tools/robustness.py again to finish it')
    grid = report['config']
    if not Path(grid).is_file():
        raise UsageError(f'{path} is of {grid}, which is not there: rows come from grids of this clone')
    config = filled(at_scale(Config.fromfile(grid), report.get('scale')))
    rows = leaderboard_texts(grid)['rows']
    stated = {
        'attacks': GridAttacks.read(config.attacks).configs,
        'defenses': {name: grid_entry(Path(grid), name) for name in rows},
        'seed': config.get('seed', 0),
        'quantize': config.get('quantize', False),
        'num_images': config.get('num_images') or report['data']['images'],
    }
    ran = {
        'attacks': {name: attack['config'] for name, attack in report['attacks'].items()},
        'defenses': {name: entry_of(report['defenses'].get(name, {}).get('config')) for name in rows},
        'seed': report['seed'],
        'quantize': report['quantized'],
        'num_images': report['data']['images'],
    }
    for name, value in stated.items():
        if canonical_json(value) != canonical_json(ran[name]):
            raise UsageError(
                f'{path} was made with other {name} than {grid} states: run the grid as it is, so that its command '
                'makes the numbers again'
            )
    if config.get('indices') is not None or 'selection' in report['data']:
        raise UsageError(f'{grid} chooses its images; rows are over num_images of them, spread evenly')
    return report


def _row(
    report: dict[str, Any], rounded: Optional[dict[str, Any]], defense: str, texts: dict[str, Any], passes: int
) -> Row:
    attacks = _attacks(report, defense)
    norm, eps = _budget(attacks)
    about, grid, target = texts['rows'][defense], report['config'], report['target']
    reference = about.get('reference')
    config = entry_of(report['defenses'][defense]['config'])
    groups = {group: _worst(report, defense, attacks, group) for group in GROUPS}
    acc, title = groups['informed']
    if acc is None or title is None or attacks[0].acc is None:
        raise UsageError(
            f'{grid}: {defense!r} has no number under an attacker who knows it, which is what a row claims'
        )
    attacks_8bit = [] if rounded is None else _attacks(rounded, defense)
    informed = [one for one in attacks if 'informed' in one.attackers]
    by_autoattack = [one.acc for one in informed if runs_autoattack(one.config) and one.acc is not None]
    return Row(
        format=FORMAT,
        version=VERSION,
        name=f'{defense}_{Path(target["config"]).stem}',
        title=about['title'],
        task=report['task'],
        dataset=texts['dataset'],
        architecture=texts['architecture'],
        metric=report['metric'],
        threat_model=norm,
        eps=eps,
        clean_acc=attacks[0].acc,
        autoattack_acc=min(by_autoattack, default=None),
        gray_box_acc=groups['gray-box'][0],
        gray_box_attack=groups['gray-box'][1],
        transfer_acc=groups['transfer'][0],
        transfer_attack=groups['transfer'][1],
        adaptive_acc=acc,
        adaptive_attack=title,
        adaptive_acc_8bit=None if rounded is None else _worst(rounded, defense, attacks_8bit, 'informed')[0],
        number_forward_passes=passes,
        linf=max(one.linf_max for one in attacks),
        l2=max(one.l2_max for one in attacks),
        images=report['data']['images'],
        digest=report['data']['digest'],
        seed=report['seed'],
        footnote=about.get('footnote'),
        reference=None if reference is None else Reference(**reference),
        attacks=attacks,
        attacks_8bit=attacks_8bit,
        receipt=Receipt(
            command=grid_command(grid, report.get('scale')),
            command_8bit=None if rounded is None else grid_command(grid, rounded.get('scale')),
            grid=grid,
            defense=defense,
            config=config,
            files={name: file_digest(name) for name in exports(config)},
            target=Target(target['config'], target['checkpoint'], target['weights'].removeprefix('sha256:')),
            software={name: version for name, version in report['software'].items() if version is not None},
        ),
    )


def _attacks(report: dict[str, Any], defense: str) -> list[Measured]:
    """What ran on a defense, clean images first."""
    cells = [cell for cell in report['cells'] if cell['defense'] == defense and cell['reason'] is None]
    return [measured(report, cell) for cell in sorted(cells, key=lambda cell: cell['threat_model'] != CLEAN)]


def measured(report: dict[str, Any], cell: dict[str, Any]) -> Measured:
    """The numbers of a cell of a report."""
    scores, sizes, acc = cell['scores'], cell['measured'], percent(cell['metrics'][report['metric']], report['metric'])
    if scores.get('score') is None:
        raise UsageError(f'{report["config"]}: images of {report["task"]} are not scored one by one')
    images = scores['images'] - scores['without_truth']
    bounds = share_interval(scores['score'] / 100, images) if has_one_label(report['task']) else None
    interval = scores['interval'] if bounds is None else [100 * bound for bound in bounds]
    clean = cell['threat_model'] == CLEAN
    return Measured(
        threat_model=cell['threat_model'],
        attack=cell['condition']['name'],
        config=json.loads(json.dumps(cell['condition']['attack'])),
        attackers=_attackers(report, cell),
        acc=None if acc is None else round(acc, _DIGITS),
        score=round(scores['score'], _DIGITS),
        interval=[round(bound, _DIGITS) for bound in interval],
        **{
            f'{norm}_{what}': 0.0 if clean else round(sizes[f'perturbation/{norm}_{what}'], _DIGITS)
            for norm in ('linf', 'l2')
            for what in ('mean', 'max')
        },
        queries=sizes.get('attack/queries_mean'),
        draws=scores.get('draws'),
    )


def _attackers(report: dict[str, Any], cell: dict[str, Any]) -> list[str]:
    if cell['threat_model'] == CLEAN:
        return []
    name = report['threat_models'][cell['threat_model']]['name']
    return list(attacker_groups(name, bool(report['defenses'][cell['defense']]['purifier'])))


def _worst(
    report: dict[str, Any], defense: str, attacks: Sequence[Measured], group: str
) -> tuple[Optional[float], Optional[str]]:
    """The number of a group of attackers, and the attack that is strongest."""
    known = [one for one in attacks if group in one.attackers and one.acc is not None]
    if not known:
        return None, None
    lowest = min(known, key=lambda one: (one.acc, one.score))
    acc = lowest.acc
    if has_one_label(report['task']):
        rows = report['worst_case_by_attacker']
        (acc,) = (row['correct'] for row in rows if (row['attacker'], row['defense']) == (group, defense))
    return None if acc is None else round(acc, _DIGITS), lowest.title


def _budget(attacks: Sequence[Measured]) -> tuple[str, float]:
    """The norm and the bound of all attacks."""
    built = [build_attack(one.config) for one in attacks if one.config is not None]
    budgets = sorted({(attack.norm, attack.eps) for attack in built}, key=str)
    norm, eps = budgets[0] if len(budgets) == 1 else ('', None)
    if norm not in NORMS or eps is None:
        shown = ', '.join(f'{own} {size}'.removesuffix('.0') for own, size in budgets) or 'none'
        raise UsageError(f'the attacks of a row share one norm ({", ".join(NORMS)}) and one eps, got {shown}')
    return NORMS[norm], float(eps)
