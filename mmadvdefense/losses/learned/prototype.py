"""Prototype conformity: features near the center of their class and far from the others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ..base import PurifierBatch
from .base import LearnedLoss


@MODELS.register_module()
class PrototypeConformityLoss(LearnedLoss):
    """PCL (Mustafa et al., "Adversarial Defense by Restricting the Hidden Space of Deep Neural Networks", ICCV 2019,
    equation 3), with squared distances as in the authors' code.

    ``|f - c_y|^2 - push_weight * mean_{j != y} |f - c_j|^2`` with learned centers c, averaged over the length of f,
    where the authors' code sums, and over vectors that have a class. Summed, at a weight of 1, the loss diverged within
    five updates of a ResNet-20 at a learning rate of 0.1. The terms are ``loss_pcl_clean`` and ``loss_pcl_adv``.

    Args:
        push_weight: weight of the distances to other centers. With 1, as in the paper's equation, the loss is linear in
            f and has no minimum; public code has 1e-4 to 1e-5.
        settings: of :class:`LearnedLoss`.
    """

    centers: Tensor

    def __init__(self, push_weight: float = 1e-4, **settings: Any) -> None:
        super().__init__(**settings)
        self.push_weight = push_weight

    def build(self, num_features: int, num_classes: int) -> None:
        self.centers = nn.Parameter(torch.randn(num_classes, num_features))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features ``(M, L)`` and labels ``(M,)``; returns the unweighted scalar, 0 if nothing has a class."""
        known = labels != self.ignore_index
        own = labels.where(known, 0).long()
        features = features.to(self.centers.dtype)
        distances = (features[:, None] - self.centers).square().mean(2)
        near = distances.gather(1, own[:, None]).squeeze(1)
        far = (distances.sum(1) - near) / (len(self.centers) - 1)
        return (near - self.push_weight * far).where(known, 0).sum() / known.sum().clamp(min=1)

    def parts(self, batch: PurifierBatch) -> dict[str, Tensor]:
        return {
            'loss_pcl_clean': self(batch.class_features('purified_clean'), batch.labels),
            'loss_pcl_adv': self(batch.class_features('purified_adversarial'), batch.labels),
        }
