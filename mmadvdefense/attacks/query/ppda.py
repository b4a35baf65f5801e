"""PPDA: random steps in low frequencies with learned probabilities (Li et al., CVPR 2020)."""

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

    The perturbation consists of the lowest frequencies. Each step moves every frequency up, down or not at all, with
    probabilities that follow how often each move was part of a step that raised the score; other steps are undone.

    Args:
        eps: radius of the ball in pixels (0-255).
        queries: the number of queries allowed for each image; the first is the clean image.
        dimensions: number of frequencies over all three channels, limited by the image size.
        step_size: change of a frequency's coefficient per step, in pixels (L2 norm).
        options: of :class:`~mmadvdefense.attacks.query.base.ScoreAttack`.

    Raises:
        ValueError: for an invalid setting.
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
        # Prior counts: each move starts with one success and one failure.
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
