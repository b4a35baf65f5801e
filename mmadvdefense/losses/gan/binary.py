"""The original GAN loss, in its non-saturating form."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...registry import MODELS
from ..base import PurifierBatch, total
from .base import GANLoss, Outputs, logits


@MODELS.register_module()
class BinaryGANLoss(GANLoss):
    """Binary cross-entropy of a discriminator's sigmoid (Goodfellow et al., "Generative Adversarial Nets", 2014), as
    APE-GAN (arXiv 1707.05474) uses it.

    ``-log s(D(fake))`` for the generator, ``-log s(D(real)) - log(1 - s(D(fake)))`` for the discriminator, with the
    sigmoid ``s``; means over each scale's logits, summed over scales. The arguments are those of :class:`GANLoss`.
    """

    def forward(self, outputs: Outputs, target_is_real: bool) -> Tensor:
        """Cross-entropy of the logits with 1 (real) or 0; the unweighted scalar."""
        return total(
            F.binary_cross_entropy_with_logits(scale, torch.full_like(scale, float(target_is_real)))
            for scale in logits(outputs)
        )

    def generator_loss(self, batch: PurifierBatch) -> Tensor:
        loss: Tensor = self(batch.discriminate(self.fake), target_is_real=True)
        return loss

    def discriminator_loss(self, batch: PurifierBatch) -> Tensor:
        real: Tensor = self(batch.discriminate_detached(self.real), target_is_real=True)
        fake: Tensor = self(batch.discriminate_detached(self.fake), target_is_real=False)
        return real + fake
