"""What a quickstart says while it runs."""

from __future__ import annotations

import time
from typing import Optional

from rich.console import Console

from ...evaluation.grid.progress import duration

# Without a terminal, how often a stage says how far it is, as a share of its time.
_EVERY = 0.25


class Stages:
    """Numbered stages, each with the time that it and all that follow will take.

    Args:
        titles: of all stages.
        seconds: how long each is expected to take.
        console: where to print; standard output by default.
    """

    def __init__(self, titles: list[str], seconds: list[float], console: Optional[Console] = None):
        self.titles = titles
        self.seconds = list(seconds)
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._begun = 0
        self._told = 0.0
        self._start = time.perf_counter()

    @property
    def left(self) -> float:
        """Seconds that the current stage and those after it are expected to take, from the begin of the current one."""
        return sum(self.seconds[max(self._begun - 1, 0) :])

    def begin(self, note: str = '') -> None:
        """Print the line of the next stage."""
        self._begun += 1
        self._told = 0.0
        title = f'[{self._begun}/{len(self.titles)}] {self.titles[self._begun - 1]}'
        text = f'{title}{": " if note else ""}{note}'
        self.console.print(f'{text} (about {duration(self.left)} left in all)', markup=False)

    def advance(self, share: float, iterations: int) -> None:
        """Print how far the current stage is; on a terminal in place, else every quarter."""
        seconds = self.seconds[self._begun - 1] * (1 - share)
        line = f'  {share:4.0%}  {iterations} iterations, about {duration(seconds)} left in this stage'
        if self.console.is_terminal:
            self.console.print(line, markup=False, end='\r' if share < 1 else '\n')
        elif share >= self._told + _EVERY or share >= 1:
            self._told = share
            self.console.print(line, markup=False)

    def finish(self, text: str) -> None:
        """Print the last line, with the time that all has taken."""
        self.console.print(f'{text} ({duration(time.perf_counter() - self._start)})', markup=False)
