"""Reconstruction of pixels by the squared difference."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..registry import MODELS
from .base import GuidedLoss, ImageName, PurifierBatch


@MODELS.register_module()
class PixelMSELoss(GuidedLoss):
    """Mean squared difference of purified images and their guides, which APE-GAN (arXiv 1707.05474), NRP (arXiv
    2006.04924) and FPD (CVPR 2020) use.

    The terms are ``loss_mse_clean`` and ``loss_mse_adv``; the arguments are those of :class:`GuidedLoss`. Images are in
    [-1, 1]: the value is four times that of images in [0, 1].
    """

    name = 'mse'

    def read(self, batch: PurifierBatch, name: ImageName) -> Tensor:
        return batch.pixels(name)

    def forward(self, purified: Tensor, guide: Tensor) -> Tensor:
        """Both ``(N, 3, H, W)`` in [-1, 1]; returns the unweighted scalar."""
        return F.mse_loss(purified, self.as_guide(guide))
