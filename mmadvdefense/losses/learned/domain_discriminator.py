"""A discriminator that tells the features of clean images from those of adversarial ones."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base import PurifierBatch
from .base import LearnedLoss


@MODELS.register_module()
class DomainDiscriminatorLoss(LearnedLoss):
    """CADA (Hou et al., "Class-Aware Domain Adaptation for Improving Adversarial Robustness", Image and Vision
    Computing 2020), from its description: no code is public.

    A two-layer discriminator sees a feature vector beside the one-hot true class and learns to call clean vectors 1 and
    adversarial ones 0 (``loss_cada_discriminator``); the model learns to have adversarial vectors called 1
    (``loss_cada_model``), without moving the discriminator.

    Args:
        hidden: units of the discriminator's hidden layer.
        settings: of :class:`LearnedLoss`.
    """

    discriminator: nn.Sequential

    def __init__(self, hidden: int = 256, **settings: Any) -> None:
        super().__init__(**settings)
        self.hidden = hidden

    def build(self, num_features: int, num_classes: int) -> None:
        self.discriminator = nn.Sequential(
            nn.Linear(num_features + num_classes, self.hidden), nn.LeakyReLU(0.2), nn.Linear(self.hidden, 1)
        )

    def forward(self, clean: Tensor, adversarial: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Both sides, unweighted, of vectors ``(M, L)`` with their classes ``(M,)``."""
        one_hot = F.one_hot(labels, self.num_classes or -1).to(clean.dtype)
        fixed = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        fooled = torch.func.functional_call(self.discriminator, fixed, (torch.cat([adversarial, one_hot], 1),))
        real, fake = (self.discriminator(torch.cat([vectors.detach(), one_hot], 1)) for vectors in (clean, adversarial))
        return {
            'loss_cada_model': _cross_entropy(fooled, 1.0),
            'loss_cada_discriminator': (_cross_entropy(real, 1.0) + _cross_entropy(fake, 0.0)) / 2,
        }

    def parts(self, batch: PurifierBatch) -> dict[str, Tensor]:
        clean = batch.class_features('purified_clean').float()
        adversarial = batch.class_features('purified_adversarial').float()
        found: dict[str, Tensor] = self(clean, adversarial, batch.labels.long())
        return found


def _cross_entropy(logits: Tensor, truth: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))
