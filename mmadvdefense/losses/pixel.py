"""Pixel reconstruction."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..registry import MODELS
from .base import GuidedLoss, ImageName, PurifierBatch


@MODELS.register_module()
class PixelReconstructionLoss(GuidedLoss):
    """Mean L1 between purified images and their guides, L_r in equation 1 of the Align paper (arXiv 2212.05387).

    The terms are ``loss_pixel_clean`` and ``loss_pixel_adv``; the arguments are those of :class:`GuidedLoss`.
    """

    name = 'pixel'

    def __init__(
        self,
        clean_guide: ImageName = 'clean',
        adv_guide: ImageName = 'purified_clean',
        clean_weight: float = 1.0,
        adv_weight: float = 1.0,
        loss_weight: float = 1.0,
        detach_guide: bool = False,
    ) -> None:
        super().__init__(clean_guide, adv_guide, clean_weight, adv_weight, loss_weight, detach_guide)

    def read(self, batch: PurifierBatch, name: ImageName) -> Tensor:
        return batch.pixels(name)

    def forward(self, purified: Tensor, guide: Tensor) -> Tensor:
        """Both ``(N, 3, H, W)`` in [-1, 1]; returns the unweighted scalar."""
        return F.l1_loss(purified, guide.detach() if self.detach_guide else guide)
