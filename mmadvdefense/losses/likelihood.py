"""The likelihood of clean images under a generative model."""

from __future__ import annotations

import math

from torch import Tensor

from ..registry import MODELS
from .base import PurifierBatch, PurifierLoss


@MODELS.register_module()
class NegativeLogLikelihoodLoss(PurifierLoss):
    """Minus the log-likelihood of the clean images, in bits for each channel of each pixel ("bits per dimension"), as
    PixelCNN and PixelCNN++ report it.

    The term is ``loss_bits``.
    """

    def forward(self, log_likelihood: Tensor, number: int) -> Tensor:
        """The unweighted scalar.

        Args:
            log_likelihood: natural logarithms of the images' probabilities, ``(N,)``.
            number: how many values an image has.
        """
        return -log_likelihood.mean() / (number * math.log(2))

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        if not self.loss_weight:
            return {}
        number = batch.pixels('clean')[0].numel()
        return {'loss_bits': self.loss_weight * self(batch.log_likelihood, number)}
