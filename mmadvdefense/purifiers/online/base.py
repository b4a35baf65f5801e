"""Base class of purifiers that fit a network to each image at test time."""

from __future__ import annotations

from abc import abstractmethod
from itertools import islice, pairwise
from typing import Iterator, Sequence

import torch
from mmengine.dist import is_main_process
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ...errors import DivergenceError, UsageError
from ...pixels import PIXEL_MAX, Pixels
from ...randomness import Randomness
from ...validation import check_integer
from ..base import RandomPurifier
from ..sizes import map_by_size_randomly


class OnlinePurifier(RandomPurifier):
    """Fits a randomly initialized network to each image and replaces the image with the network's output.

    Nothing is trained in advance or kept afterwards: the checkpoint is the target's. Each image has its own random
    numbers and network, so results do not depend on the batch. Images of the same size are fitted together. Not
    differentiable with respect to the images.

    Args:
        num_steps: number of network updates. Early stopping keeps the noise out; tune it with ``tools/tune_oag.py``.
        progress: show a progress bar if standard output is a terminal.
        kwargs: of :class:`RandomPurifier`.

    Raises:
        ValueError: if ``num_steps`` is less than 1.
    """

    differentiable = False

    def __init__(self, num_steps: int, progress: bool = False, **kwargs):
        super().__init__(**kwargs)
        check_integer(type(self).__name__, num_steps=num_steps)
        self.num_steps = int(num_steps)
        self.progress = progress

    def _require_positive(self, name: str, value: float) -> None:
        if not value > 0:
            raise UsageError(f'{type(self).__name__}: {name} must be > 0, got {value}')

    @abstractmethod
    def fit(self, images: Tensor, randomness: Randomness) -> Iterator[Tensor]:
        """Fit networks and yield the reconstructed images after each update, without end.

        Args:
            images: pixels 0-255, ``(N, 3, H, W)``.
            randomness: with one stream per image.

        Yields:
            Pixels of the same shape, possibly outside 0-255.
        """

    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        return self.trajectory(images, randomness, [self.num_steps])[0]

    def snapshots(self, data: dict, steps: Sequence[int]) -> list[Pixels]:
        """:meth:`trajectory` of a data batch, with the random numbers that :meth:`forward` would draw."""
        samples = data.get('data_samples')
        return self.trajectory(
            self.load_pixels(data['inputs'], samples), self._randomness(data['inputs'], samples), steps
        )

    def trajectory(self, images: Pixels, randomness: Randomness, steps: Sequence[int]) -> list[Pixels]:
        """The cleaned images after each of the given numbers of steps, all from one run.

        Args:
            images: pixels 0-255, ``(N, 3, H, W)`` or a list of ``(3, H_i, W_i)``.
            randomness: source of the random numbers.
            steps: numbers of steps in ascending order.

        Raises:
            ValueError: if ``steps`` are not ascending numbers >= 1.
            FloatingPointError: if the fit diverges.
        """
        if not steps or steps[0] < 1 or any(a >= b for a, b in pairwise(steps)):
            raise UsageError(f'steps must be ascending numbers >= 1, got {list(steps)}')

        def fitted(stacked: Tensor, streams: Randomness) -> Tensor:
            return self._fit_stacked(stacked, streams, steps)

        results = map_by_size_randomly(fitted, images, randomness)
        if isinstance(results, Tensor):
            return list(results.unbind(1))
        return [list(images) for images in zip(*(result.unbind() for result in results))]

    def _fit_stacked(self, images: Tensor, randomness: Randomness, steps: Sequence[int]) -> Tensor:
        """``(N, len(steps), 3, H, W)``."""
        # Networks are fitted at full precision and with gradients, whatever mode the model is tested in.
        with torch.inference_mode(False), torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            run = islice(self.fit(images.clone(), randomness), steps[-1])
            numbered = enumerate(self._tracked(run, len(images), steps[-1]), start=1)
            wanted = torch.stack([fitted for step, fitted in numbered if step in steps], 1)
        if not wanted.isfinite().all():
            raise DivergenceError(f'{type(self).__name__} diverged within {steps[-1]} steps: lower learning_rate')
        return wanted.clamp(0, PIXEL_MAX)

    def _tracked(self, run: Iterator[Tensor], count: int, total: int) -> Iterator[Tensor]:
        console = Console()
        hidden = not (self.progress and console.is_terminal and is_main_process())
        description = f'{type(self).__name__}, {count} images'
        return iter(track(run, description, total, console=console, transient=True, disable=hidden))
