"""PPDA: random steps in low frequencies that learn which directions help (Li et al., CVPR 2020)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...registry import ATTACKS
from ...validation import check_integer
from .base import ScoreAttack
from .low_frequency import LowFrequencies
from .oracle import Oracle


@ATTACKS.register_module()
class PPDA(ScoreAttack):
    """Projection and probability-driven attack.

    The change is made of the lowest frequencies. Each step moves every frequency up, down or not at all, with
    probabilities in proportion to how often that move was part of a step that raised the score; a step that did not is
    taken back.

    Args:
        eps: radius of the ball in pixels (0-255).
        queries: the number of queries allowed for each image; the first is the clean image.
        dimensions: how many frequencies, over the three channels; all of an image that has fewer.
        step_size: how far a step moves a frequency, in pixels (L2 length).
        options: of :class:`~mmadvdefense.attacks.query.base.ScoreAttack`.

    Raises:
        ValueError: for a bad setting.
    """

    def __init__(
        self, eps: float, queries: int = 4000, dimensions: int = 1500, step_size: float = 0.01 * 255, **options: Any
    ):
        super().__init__(eps, queries, **options)
        name = type(self).__name__
        check_integer(name, dimensions=dimensions)
        if not step_size > 0:
            raise UsageError(f'{name}: step_size is in pixels (0-255) and must be > 0, got {step_size}')
        self.dimensions = int(dimensions)
        self.step_size = float(step_size)

    def search(self, oracle: Oracle) -> None:
        clean = oracle.clean
        height, width = clean.shape[-2:]
        frequencies = LowFrequencies(height, width, clean)
        lowest = frequencies.lowest(self.dimensions)
        position = clean.new_zeros(len(clean), len(lowest))
        # Each move counts as tried once with and once without success.
        helped, failed = (clean.new_ones(len(clean), 3, len(lowest)) for _ in range(2))
        score = oracle.best_scores()
        while index := oracle.active():
            odds = helped[index] / (helped[index] + failed[index])
            move = _draw(odds, oracle.randomness.select(index).uniform_like(position[index]))
            proposal = position[index] + self.step_size * (move - 1)
            grid = torch.zeros_like(clean[index]).flatten(1)
            grid[:, lowest] = proposal
            change = frequencies.images(grid.view_as(clean[index]))
            value = oracle.scores(self.ball.project(clean[index] + change, clean[index]), index)
            better = value > score[index]
            made = F.one_hot(move, 3).transpose(1, 2).to(clean.dtype)
            helped[index] += made * better.view(-1, 1, 1)
            failed[index] += made * ~better.view(-1, 1, 1)
            position[index] = torch.where(better[:, None], proposal, position[index])
            score[index] = torch.where(better, value, score[index])


def _draw(odds: Tensor, uniform: Tensor) -> Tensor:
    """0 (down), 1 (stay) or 2 (up) for each frequency, ``(N, m)``, from odds ``(N, 3, m)`` and uniform numbers."""
    below = (odds / odds.sum(1, keepdim=True)).cumsum(1)
    return (uniform >= below[:, 0]).long() + (uniform >= below[:, 1]).long()
