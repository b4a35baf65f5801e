"""The lines and the estimate of a grid that is running."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mmadvdefense.evaluation.grid import progress as module
from mmadvdefense.evaluation.grid.progress import GridProgress, duration


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """What the clock says, to be moved by hand."""
    now = [0.0]
    monkeypatch.setattr(module.time, 'perf_counter', lambda: now[0])
    return now


def _run(progress: GridProgress, clock: list[float], kind: tuple, seconds: float, outcome: str) -> None:
    with progress.cell('align', kind) as hook:
        hook.after_test_iter(None, 0, outputs=[1, 2])
        clock[0] += seconds
    progress.done('align, gray-box, PGD', outcome)


def test_lines_and_estimate(clock):
    out = io.StringIO()
    console = Console(file=out, highlight=False, soft_wrap=True)
    kinds = [('clean', 'clean'), ('gray-box', 'PGD'), ('clean', 'clean'), ('gray-box', 'PGD')]
    # One cell was finished before.
    progress = GridProgress(kinds, 4, total=5, console=console)
    assert progress.estimate() == 0
    _run(progress, clock, kinds[0], 2, '91.00')
    # A clean cell as long as the first, and two of another kind, of which nothing else is known.
    assert progress.estimate() == 2 + 2 * 2
    _run(progress, clock, kinds[1], 200, 'cannot run: [no] reason')
    assert progress.estimate() == 2 + 200
    _run(progress, clock, kinds[0], 4, '92.00')
    assert progress.estimate() == 200
    _run(progress, clock, kinds[1], 100, '3.00')
    assert out.getvalue().splitlines() == [
        '[2/5] align, gray-box, PGD: 91.00 (2 s, about 6 s left)',
        '[3/5] align, gray-box, PGD: cannot run: [no] reason (3 min, about 3 min left)',
        '[4/5] align, gray-box, PGD: 92.00 (4 s, about 3 min left)',
        '[5/5] align, gray-box, PGD: 3.00 (2 min)',
    ]


@pytest.mark.parametrize(('seconds', 'text'), [(0.4, '0 s'), (99, '99 s'), (130, '2 min'), (9000, '2.5 h')])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_bar_shows_images(clock):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    progress = GridProgress([('a', 'b')], 4, total=1, console=console)
    with progress.cell('align, gray-box, PGD', ('a', 'b')) as hook:
        hook.after_test_iter(None, 0, outputs=[1, 2])
    assert 'align, gray-box, PGD' in out.getvalue() and '2/4 images' in out.getvalue()
