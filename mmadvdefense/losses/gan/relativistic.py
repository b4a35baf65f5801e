"""The GAN loss that compares real and fake images with each other."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ...registry import MODELS
from ..base import PurifierBatch, total
from .base import GANLoss, Outputs, logits


@MODELS.register_module()
class RelativisticGANLoss(GANLoss):
    """A discriminator that judges by how much more real one image is than another (Jolicoeur-Martineau, "The
    relativistic discriminator", arXiv 1807.00734), as NRP (arXiv 2006.04924) uses it.

    With the sigmoid ``s``, an image is paired with its own purified version: ``-log s(D(fake) - D(real))`` for the
    generator, and ``-log s(D(real) - D(fake))`` for the discriminator. Means over each scale's logits, summed over
    scales.

    Args:
        average: compare with the mean over the other images of the batch instead, in both directions (RaGAN): the
            generator's side is then ``-log s(D(fake) - E D(real)) - log(1 - s(D(real) - E D(fake)))``, the
            discriminator's the same with ``fake`` and ``real`` swapped.
        kwargs: of :class:`GANLoss`.
    """

    def __init__(self, average: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.average = average

    def forward(self, higher: Outputs, lower: Outputs) -> Tensor:
        """The loss of a player who wants ``higher`` to look more real than ``lower``; the unweighted scalar."""
        return total(self._scale(own, other) for own, other in zip(logits(higher), logits(lower)))

    def _scale(self, higher: Tensor, lower: Tensor) -> Tensor:
        if not self.average:
            return F.softplus(lower - higher).mean()
        above, below = higher - lower.mean(0, keepdim=True), lower - higher.mean(0, keepdim=True)
        return F.softplus(-above).mean() + F.softplus(below).mean()

    def generator_loss(self, batch: PurifierBatch) -> Tensor:
        loss: Tensor = self(batch.discriminate(self.fake), batch.discriminate(self.real))
        return loss

    def discriminator_loss(self, batch: PurifierBatch) -> Tensor:
        loss: Tensor = self(batch.discriminate_detached(self.real), batch.discriminate_detached(self.fake))
        return loss
