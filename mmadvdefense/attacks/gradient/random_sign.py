"""Random noise of the full budget, independent of any model: a baseline for attacks."""

from __future__ import annotations

import torch
from torch import Tensor

from ...pixels import stack
from ...registry import ATTACKS
from ..base import Attack
from ..batch import AttackBatch


@ATTACKS.register_module()
class RandomSign(Attack):
    """Changes every value of an image by ``+eps`` or ``-eps`` with probability 1/2 (random noise in HGD, appendix D).

    Args:
        eps: radius in pixels (0-255), before clamping to the pixel range.
    """

    access = 'nothing'
    needs_ball = True
    stochastic = True
    eps: float

    def __init__(self, eps: float):
        super().__init__(eps)

    @property
    def needs_labels(self) -> bool:
        return False

    def perturb(self, batch: AttackBatch) -> Tensor:
        if batch.layout.is_uniform:
            draws = batch.randomness.uniform_like(batch.clean)
        else:
            # One by one, because an image's random numbers must not depend on its padding.
            images = batch.pixels(batch.clean)
            draws = stack([batch.randomness.of(i).uniform_like(one[None])[0] for i, one in enumerate(images)])[0]
        return batch.clean + torch.where(draws < 0.5, -self.eps, self.eps)
