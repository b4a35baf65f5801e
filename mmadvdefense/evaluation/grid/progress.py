"""Progress display of a grid, with an estimate of the remaining time."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Callable, Iterator, Optional, Sequence

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class BatchesHook(Hook):
    """Calls a function with the number of images after every test batch."""

    priority = 'LOWEST'

    def __init__(self, advance: Callable[[int], None]):
        self.advance = advance

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.advance(len(outputs) * get_world_size())


class GridProgress:
    """A line for every finished cell, and on a terminal a bar for the current one.

    Args:
        kinds: for each remaining cell, a key for its cost.
        images: number of images per cell.
        total: number of cells in the grid, including finished ones.
        console: output console; by default the standard output of the first process.
    """

    def __init__(self, kinds: Sequence[tuple], images: int, total: int, console: Optional[Console] = None):
        self._left = list(kinds)
        self._images = images
        self._total = total
        self._seconds: list[tuple[tuple, float]] = []
        self._console = console or Console(quiet=not is_main_process(), highlight=False, soft_wrap=True)

    @contextmanager
    def cell(self, title: str, kind: tuple) -> Iterator[BatchesHook]:
        """Yield the hook that moves the bar during a cell; call :meth:`done` afterwards."""
        bar = Progress(
            TextColumn('{task.description}', markup=False),
            BarColumn(),
            TextColumn('{task.completed}/{task.total} images'),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            # In a log, the bar would leave an empty line for each cell.
            disable=not self._console.is_terminal,
        )
        start = time.perf_counter()
        with bar:
            task = bar.add_task(title, total=self._images)
            yield BatchesHook(lambda images: bar.advance(task, images))
        self._seconds.append((kind, time.perf_counter() - start))
        self._left.remove(kind)

    def done(self, title: str, outcome: str) -> None:
        """Print the line of the last cell."""
        number = self._total - len(self._left)
        seconds = self._seconds[-1][1]
        left = f', about {duration(self.estimate())} left' if self._left else ''
        self._console.print(
            f'[{number:>{len(str(self._total))}}/{self._total}] {title}: {outcome} ({duration(seconds)}{left})',
            markup=False,
        )

    def note(self, text: str) -> None:
        """Print a line that belongs to no cell."""
        self._console.print(text, markup=False)

    def estimate(self) -> float:
        """Estimated remaining seconds: the mean time of cells of the same kind, or else of all cells."""

        def mean(kind: Optional[tuple]) -> Optional[float]:
            taken = [seconds for other, seconds in self._seconds if kind in (None, other)]
            return sum(taken) / len(taken) if taken else None

        return sum(mean(kind) or mean(None) or 0.0 for kind in self._left)


def duration(seconds: float) -> str:
    """``'8 s'``, ``'3 min'``, ``'2.5 h'``."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 6000 else f'{seconds / 3600:.1f} h'
