"""Progress of work that takes its time for every image."""

from __future__ import annotations

import time
from typing import Optional

from rich.console import Console

from ..grid.progress import duration

# Seconds between two lines.
_EVERY = 30.0


class Countdown:
    """A line now and then: how many images are done, and how long the rest will take.

    Args:
        title: of the lines.
        total: number of images.
        done: number of images of an earlier run among them.
        console: by default the standard output.
    """

    def __init__(self, title: str, total: int, done: int, console: Optional[Console] = None):
        self._title, self._total, self._done, self._before = title, total, done, done
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._start = self._shown = time.monotonic()
        if done:
            self._console.print(f'{title}: {done} of {total} images are certified already', markup=False)

    def advance(self) -> None:
        """One more image is done."""
        self._done += 1
        now = time.monotonic()
        if now - self._shown < _EVERY and self._done < self._total:
            return
        self._shown = now
        per_image = (now - self._start) / (self._done - self._before)
        left = self._total - self._done
        self._console.print(
            f'{self._title}: {self._done} of {self._total} images, {per_image:.3g} s an image'
            + (f', about {duration(left * per_image)} left' if left else ''),
            markup=False,
        )
