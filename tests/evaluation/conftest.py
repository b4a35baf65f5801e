"""Reports and grids without models: what tables, statistics and folders are tested with."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from mmadvdefense.evaluation.results import Condition, Result


def _measured(size: float, queries: float) -> dict[str, Any]:
    norms = {f'perturbation/{norm}_{what}': size for norm in ('linf', 'l2') for what in ('mean', 'max')}
    return {**norms, 'purified/psnr': 30.0 if size else None, **({'attack/queries_mean': queries} if size else {})}


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """A cell with its images: ``rights`` says which of them are right."""

    def make(
        defense: str,
        threat: str | None = None,
        attack: str = 'clean',
        rights: str = '1111',
        size: float = 0.0,
        queries: float = 2.0,
        reason: str | None = None,
        amplification: dict | None = None,
    ) -> Result:
        config = dict(type=attack, eps=8) if attack != 'clean' else None
        if threat is not None and threat.startswith('transfer'):
            threat = dict(name='transfer', source=dict(config='resnet56.py', checkpoint='resnet56.pth'))
        condition = Condition(attack, config, threat)
        if reason is not None:
            return Result(condition, defense != 'none', defense=defense, reason=reason)
        right = [flag == '1' for flag in rights]
        share = 100 * sum(right) / len(right)
        return Result(
            condition,
            purifier=defense != 'none',
            metrics={'accuracy/top1': share, 'other': 1.0},
            measured=_measured(size, queries),
            defense=defense,
            scores={'images': len(right), 'correct': share, 'score': share, 'interval': [0.0, 100.0], 'changed': None},
            amplification=amplification or {},
            samples={
                'image': [f'images/{index}.png' for index in range(len(right))],
                'linf': [size] * len(right),
                'l2': [size] * len(right),
                'psnr': [30.0 if size else float('inf')] * len(right),
                'score': [float(flag) for flag in right],
                'correct': right,
                'decision': [int(flag) for flag in right],
            },
        )

    return make
