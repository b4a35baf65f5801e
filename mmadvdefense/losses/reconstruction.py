"""Reconstruction of pixels, and of the target model's features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..registry import MODELS
from .base import GuidedLoss, ImageName, PurifierBatch


class ReconstructionLoss(GuidedLoss):
    """Mean L1 to the guide."""

    def forward(self, purified: Tensor, guide: Tensor) -> Tensor:
        """Two tensors of the same shape ``(N, ...)``; returns the unweighted scalar."""
        return F.l1_loss(purified, self.as_guide(guide))


@MODELS.register_module()
class PixelReconstructionLoss(ReconstructionLoss):
    """Mean L1 between purified images and their guides, L_r in equation 1 of the Align paper (arXiv 2212.05387).

    The terms are ``loss_pixel_clean`` and ``loss_pixel_adv``; the arguments are those of :class:`GuidedLoss`.
    """

    name = 'pixel'

    def read(self, batch: PurifierBatch, name: ImageName) -> Tensor:
        return batch.pixels(name)


@MODELS.register_module()
class FeatureReconstructionLoss(ReconstructionLoss):
    """Mean L1 between the target model's features of purified images and of their guides, L_Frec in equation 5 of
    the Align paper (arXiv 2212.05387); with the adversarial half alone it is the guidance of HGD (arXiv 1712.02976).

    The terms are ``loss_feature_clean`` and ``loss_feature_adv``; the arguments are those of :class:`GuidedLoss`.
    """

    name = 'feature'

    def __init__(
        self,
        clean_guide: ImageName = 'clean',
        adv_guide: ImageName = 'clean',
        clean_weight: float = 1.0,
        adv_weight: float = 1.0,
        loss_weight: float = 1.0,
        detach_guide: bool = False,
    ) -> None:
        super().__init__(clean_guide, adv_guide, clean_weight, adv_weight, loss_weight, detach_guide)

    def read(self, batch: PurifierBatch, name: ImageName) -> Tensor:
        return batch.features(name)
