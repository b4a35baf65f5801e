"""Clean and adversarial images as two domains whose distributions are brought together."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...registry import MODELS
from ..base import PurifierBatch
from .base import LearnedLoss


@MODELS.register_module()
class DomainAdaptationLoss(LearnedLoss):
    """ATDA (Song et al., "Improving the Generalization of Adversarial Training with Domain Adaptation", ICLR 2019),
    sections 3.2 and 3.3, on the logits: ``feature_layer='logits'``.

    ``loss_atda_mmd`` is the mean absolute difference of the two means, ``loss_atda_coral`` that of the two covariances,
    and ``loss_atda_margin`` the mean over vectors and other classes of
    ``softplus(|z - c_y|_1 - |z - c_j|_1)``, where the centers c move towards the vectors of their class.

    Args:
        loss_weight: lambda in the paper, 1/3.
        center_rate: alpha in the paper: how far a center moves in one iteration.
        settings: of :class:`LearnedLoss`.
    """

    centers: Tensor

    def __init__(self, loss_weight: float = 1 / 3, center_rate: float = 0.1, **settings: Any) -> None:
        super().__init__(loss_weight, **settings)
        self.center_rate = center_rate

    def build(self, num_features: int, num_classes: int) -> None:
        self.register_buffer('centers', torch.zeros(num_classes, num_features))

    def forward(self, clean: Tensor, adversarial: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """All parts, unweighted, of vectors ``(M, L)`` whose labels ``(M,)`` are all classes; needs two vectors."""
        covariances = [torch.cov(vectors.T, correction=1) for vectors in (clean, adversarial)]
        both = torch.cat([clean, adversarial])
        own = labels.repeat(2)
        # Copied, because they move before the backward pass.
        distances = torch.cdist(both, self.centers.to(both.dtype, copy=True), p=1)
        near = distances.gather(1, own[:, None])
        others = F.one_hot(own, len(self.centers)) == 0
        return {
            'loss_atda_mmd': (clean.mean(0) - adversarial.mean(0)).abs().mean(),
            'loss_atda_coral': (covariances[0] - covariances[1]).abs().mean(),
            'loss_atda_margin': F.softplus(near - distances)[others].mean(),
        }

    @torch.no_grad()
    def move_centers(self, vectors: Tensor, labels: Tensor) -> None:
        """Each center, by ``center_rate`` times the sum of ``c - z`` over a class, divided by its size plus one."""
        centers: Tensor = self.centers
        ones = torch.ones_like(labels, dtype=centers.dtype)
        counts = centers.new_zeros(len(centers)).index_add(0, labels, ones)[:, None]
        sums = torch.zeros_like(centers).index_add(0, labels, vectors.to(centers.dtype))
        centers -= self.center_rate * (counts * centers - sums) / (1 + counts)

    def parts(self, batch: PurifierBatch) -> dict[str, Tensor]:
        clean = batch.class_features('purified_clean').float()
        adversarial = batch.class_features('purified_adversarial').float()
        labels = batch.labels.long()
        parts: dict[str, Tensor] = self(clean, adversarial, labels)
        self.move_centers(torch.cat([clean, adversarial]), labels.repeat(2))
        return parts
