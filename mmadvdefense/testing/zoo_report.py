"""What a zoo check found, as a table for a terminal and as a page in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Optional

from ..hosts import HOSTS
from .zoo import Check

# What the results depend on, by the names of the distributions.
STACK = ('torch', 'mmengine', 'mmcv', *(host.distribution for host in HOSTS.values()))


def zoo_table(checks: Sequence[Check]) -> str:
    """One row per model, for a terminal."""
    from terminaltables import AsciiTable

    header = ['model', 'works', 'attack\nL-inf (0-255)', 'loss', 'seconds', 'why not']
    rows = [
        [
            check.name,
            'yes' if check.works else 'no',
            _number(check.change),
            _number(check.loss),
            f'{check.seconds:.0f}',
            check.problem,
        ]
        for check in checks
    ]
    return AsciiTable([header, *rows]).table


def _number(value: Optional[float]) -> str:
    return '-' if value is None else f'{value:.2f}'


PAGE = """# Stock models that can be protected

`python tools/check_zoo.py --out docs/zoo.md` writes this page. Each model is built from the config that its host ships,
with random weights and the one line `data_preprocessor=dict(type='AlignPurifier')`. Two synthetic images are attacked
with its task's default attack, the purifier is trained on them for one iteration, and the protected model predicts. It
works if every image was changed within the attack's budget, all losses are finite, the generator changed, no tensor of
the target did, and there is a prediction for each image.

Versions: {versions}.

| model | task | works | why not |
|---|---|---|---|
{rows}

{summary}
"""


def zoo_page(checks: Sequence[Check]) -> str:
    """The text of ``docs/zoo.md``: how models were checked, on which versions, and one row per model, in Markdown."""
    versions = [('Python', platform.python_version()), *((name, metadata.version(name)) for name in STACK)]
    rows = [
        f'| {check.name} | {check.task} | {"yes" if check.works else "no"} | {check.problem.replace("|", "&#124;")} |'
        for check in checks
    ]
    return PAGE.format(
        versions=', '.join(' '.join(version) for version in versions), rows='\n'.join(rows), summary=zoo_summary(checks)
    )


def zoo_summary(checks: Sequence[Check]) -> str:
    """How many models work."""
    return f'{sum(check.works for check in checks)} of {len(checks)} work'
