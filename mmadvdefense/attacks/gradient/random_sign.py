"""Noise of the budget's size that knows nothing about any model: the baseline that an attack must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from ...pixels import stack
from ...registry import ATTACKS
from ..base import Attack
from ..batch import AttackBatch


@ATTACKS.register_module()
class RandomSign(Attack):
    """Every value of an image goes up or down by ``eps``, each with probability 1/2 (HGD, appendix D: random noise).

    Args:
        eps: pixels (0-255), before the result is clamped to the pixel range.
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
            # One by one: an image's numbers must not depend on how far its neighbours pad it.
            images = batch.pixels(batch.clean)
            draws = stack([batch.randomness.of(i).uniform_like(one[None])[0] for i, one in enumerate(images)])[0]
        return batch.clean + torch.where(draws < 0.5, -self.eps, self.eps)
