"""The report of a grid as one object, from which JSON, tables and pages are generated."""

from __future__ import annotations

import itertools
import json
import platform
from importlib import metadata
from typing import Any, Optional, Sequence

import numpy as np
import torch

from ...attacks import build_attack
from ...hosts import HOSTS
from ...threats import NATURAL, THREAT_MODELS
from ..attackers import TITLES, attacker_groups
from ..cautions import cautions
from ..masking import masking_signs
from ..results import CLEAN, Result, main_metric
from ..statistics import correct_under_all, paired_t_test
from .plan import Cell, GridPlan
from .versions import REPORT_FORMAT, VERSION

_HOSTS = [host.distribution for host in HOSTS.values()]
_SOFTWARE = ('mmadvdefense', 'mmengine', 'mmcv', *_HOSTS, 'numpy', 'scipy')

Finished = list[tuple[Cell, Result]]


def build_report(
    plan: GridPlan, finished: Finished, source: str, self_tests: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """The report of the cells that are finished; ``docs/robustness.md`` describes its fields.

    It does not depend on when a cell was run, or how long it took.

    Args:
        plan: the grid.
        finished: its cells with their results, in the order of the plan.
        source: the file of the grid's config.
        self_tests: the rows of :class:`~mmadvdefense.evaluation.grid.self_test.SelfTests`.
    """
    config = plan.config
    ran = [result for _, result in finished if result.reason is None]
    return {
        'format': REPORT_FORMAT,
        'version': VERSION,
        'complete': len(finished) == len(plan.cells) and all(result.error is None for _, result in finished),
        'config': source,
        'software': _software(),
        'task': plan.facts['task'],
        'metric': main_metric(ran) if ran else None,
        'seed': config.seed,
        'quantized': config.quantize,
        'layers': list(config.layers),
        'data': plan.facts['data'],
        'target': {**config.target, 'weights': plan.settings['target']['checkpoint']},
        'defenses': {name: _defense(plan, name) for name in plan.defenses},
        'methods': config.methods,
        'attacks': {
            name: {'config': attack, 'title': build_attack(attack).describe()}
            for name, attack in config.attacks.items()
        },
        'threat_models': {
            column.threat.title: {
                'name': column.threat.name,
                'meaning': THREAT_MODELS[column.threat.name],
                'attacks': column.attacks,
            }
            for column in config.threat_models
        },
        'cells': [
            {'threat_model': cell.threat, 'file': cell.file_name, **result.as_dict()} for cell, result in finished
        ],
        'worst_case': _worst_case(plan, finished),
        'worst_case_by_attacker': _worst_case_by_attacker(plan, finished),
        'comparisons': _comparisons(plan, finished),
        'cautions': _cautions(finished),
        'self_tests': list(self_tests),
        # As JSON would give it back: tuples as lists.
        **{name: json.loads(json.dumps(value)) for name in ('published', 'scale') if (value := getattr(config, name))},
    }


def _software() -> dict[str, Optional[str]]:
    # torch.__version__ includes the build variant.
    versions: dict[str, Optional[str]] = {'python': platform.python_version(), 'torch': torch.__version__}
    for name in _SOFTWARE:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _defense(plan: GridPlan, name: str) -> dict[str, Any]:
    defense = plan.defenses[name]
    return {
        'config': plan.config.defenses[name],
        'checkpoint': defense.checkpoint,
        'weights': plan.settings['defenses'][name]['checkpoint'],
        'purifier': defense.purifier and defense.purifier.__name__,
    }


def _attacked(finished: Finished, threat: str) -> Finished:
    """The cells of a threat model that have results."""
    return [(cell, result) for cell, result in finished if cell.threat == threat and result.reason is None]


def _samples(result: Result) -> dict[str, list]:
    assert result.samples is not None, 'a cell with numbers has those of its images'
    return result.samples


def _cautions(finished: Finished) -> list[str]:
    """Reasons why attacks may be weaker than they appear, and signs of hidden gradients, one line each."""
    clean = [result.scores['score'] for cell, result in finished if cell.threat == CLEAN and result.scores]
    lines = [
        f'{cell.threat}, {cell.condition.name}: {line}'
        for cell, result in finished
        for line in cautions(result.measured, result.scores.get('images'), clean)
    ]
    attacked = [(cell.threat, cell.condition.name, result) for cell, result in finished if cell.threat != CLEAN]
    return list(dict.fromkeys([*lines, *masking_signs(attacked)]))


def _worst_case(plan: GridPlan, finished: Finished) -> list[dict[str, Any]]:
    rows = []
    for column, defense in itertools.product(plan.config.threat_models, plan.defenses):
        title = column.threat.title
        cells = [(cell, result) for cell, result in _attacked(finished, title) if cell.defense == defense]
        if cells and column.threat.name != NATURAL:
            attacks = [cell.condition.name for cell, _ in cells]
            share = correct_under_all([_samples(result)['correct'] for _, result in cells])
            correct = None if share is None else 100 * share
            rows.append({'threat_model': title, 'defense': defense, 'attacks': attacks, 'correct': correct})
    return rows


def _worst_case_by_attacker(plan: GridPlan, finished: Finished) -> list[dict[str, Any]]:
    """Which images are correct under all attacks of a kind of attacker, over several threat models."""
    rows = []
    for group, (name, defense) in itertools.product(TITLES, plan.defenses.items()):
        cells = [
            (cell, result)
            for column in plan.config.threat_models
            if group in attacker_groups(column.threat.name, defense.purifier is not None)
            for cell, result in _attacked(finished, column.threat.title)
            if cell.defense == name
        ]
        if cells:
            attacks = [[cell.threat, cell.condition.name] for cell, _ in cells]
            share = correct_under_all([_samples(result)['correct'] for _, result in cells])
            correct = None if share is None else 100 * share
            rows.append({'attacker': group, 'defense': name, 'attacks': attacks, 'correct': correct})
    return rows


def _comparisons(plan: GridPlan, finished: Finished) -> list[dict[str, Any]]:
    """Paired t-tests of all pairs of methods under the same attack; an image's score is its mean over trainings."""
    rows = []
    for column, attack in itertools.product(plan.config.threat_models, plan.config.attacks):
        title = column.threat.title
        cells = {c.defense: _samples(r) for c, r in _attacked(finished, title) if c.condition.name == attack}
        scores = {
            method: np.array([cells[name]['score'] for name in names], dtype=np.float64).mean(axis=0)
            for method, names in plan.config.methods.items()
            if cells.keys() >= set(names)
        }
        for ours, theirs in itertools.combinations(scores, 2):
            # Images without ground truth have no score.
            known = ~np.isnan(scores[ours] + scores[theirs])
            if known.sum() > 1:
                test = paired_t_test(scores[ours][known], scores[theirs][known])
                rows.append({'threat_model': title, 'attack': attack, 'defenses': [ours, theirs], **test})
    return rows
