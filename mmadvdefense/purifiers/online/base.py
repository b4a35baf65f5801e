"""What purifiers have in common that fit a network to each image while they clean it."""

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
    """Fits a random network to each image and puts what the network makes of the image in its place.

    Nothing is trained before and nothing is kept after: its checkpoint is the target's. An image's random numbers
    and its network are its own, so it does not matter which batch it comes in. Images of one size are fitted together.
    There is no gradient to the images.

    Args:
        num_steps: how often the network is updated. Stopping early is what leaves noise out; choose it with
            ``tools/tune_oag.py``.
        progress: show a bar while images are cleaned, if standard output is a terminal.
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
        """Fit networks for as long as they are asked to, and give what they make of the images after each update.

        Args:
            images: pixels 0-255, ``(N, 3, H, W)``.
            randomness: with a stream for each of them.

        Yields:
            Pixels that may leave 0-255, of the same shape.
        """

    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        return self.trajectory(images, randomness, [self.num_steps])[0]

    def snapshots(self, data: dict, steps: Sequence[int]) -> list[Pixels]:
        """:meth:`trajectory` of a batch of a data loader, with the random numbers that :meth:`forward` would draw."""
        samples = data.get('data_samples')
        return self.trajectory(
            self.load_pixels(data['inputs'], samples), self._randomness(data['inputs'], samples), steps
        )

    def trajectory(self, images: Pixels, randomness: Randomness, steps: Sequence[int]) -> list[Pixels]:
        """What images look like after each of these numbers of steps, all from one run.

        Args:
            images: pixels 0-255, ``(N, 3, H, W)`` or a list of ``(3, H_i, W_i)``.
            randomness: what is drawn from.
            steps: in rising order.

        Raises:
            ValueError: if ``steps`` are no rising numbers from 1 on.
            FloatingPointError: if the fit diverges.
        """
        if not steps or steps[0] < 1 or any(a >= b for a, b in pairwise(steps)):
            raise UsageError(f'steps must be rising numbers from 1 on, got {list(steps)}')

        def fitted(stacked: Tensor, streams: Randomness) -> Tensor:
            return self._fit_stacked(stacked, streams, steps)

        results = map_by_size_randomly(fitted, images, randomness)
        if isinstance(results, Tensor):
            return list(results.unbind(1))
        return [list(images) for images in zip(*(result.unbind() for result in results))]

    def _fit_stacked(self, images: Tensor, randomness: Randomness, steps: Sequence[int]) -> Tensor:
        """``(N, len(steps), 3, H, W)``."""
        # Whatever the model is tested under, networks are fitted at full precision and with gradients of their own.
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
