"""Perceptual distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UsageError
from ..pixels import to_pixels
from ..registry import MODELS
from .base import GuidedLoss, ImageName, PurifierBatch, total
from .frozen_network import FrozenNetwork

VGG16 = dict(type='TorchvisionVGG', depth=16)
# relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3
VGG16_LAYERS = ('features.3', 'features.8', 'features.15', 'features.22', 'features.29')
# ImageNet, RGB, in pixel units
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


@MODELS.register_module()
class PerceptualLoss(GuidedLoss):
    """L1 between a frozen network's features of purified images and of their guides, L_p of the Align paper (arXiv
    2212.05387, section 3.1; the layers are named in equation 2 of its ICLR version).

    The terms are ``loss_perceptual_clean`` and ``loss_perceptual_adv``. The default is the paper's form. The released
    code uses VGG-19 with ``layers`` features.1, .6, .11, .20 and .29 and ``layer_weights`` 1/32, 1/16, 1/8, 1/4 and 1;
    it feeds the network [-1, 1] instead of what it was trained on, which corresponds to ``mean`` and ``std`` of 127.5.

    Args:
        network: config of any backbone in ``MODELS``.
        layers: module paths in it.
        layer_weights: one weight for each layer; None is 1 for each.
        weights: see :class:`FrozenNetwork`.
        mean: mean of the network's own normalization, pixel units, in the order of its channels (RGB).
        std: its standard deviation, in the same form.
        channel_order: ``'bgr'`` or ``'rgb'``, the order in which the pipeline loads images. If it is None, training
            fills in the purifier's before the loss is used.
        clean_guide: see :class:`GuidedLoss`, as are the arguments after it.

    Raises:
        RuntimeError: if the weights cannot be downloaded, or do not fill the network.
        ValueError: if an argument does not have an allowed value, there is no such layer, or the loss is used while
            ``channel_order`` is None.
    """

    name = 'perceptual'
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: dict[str, Any] = VGG16,
        layers: Sequence[str] = VGG16_LAYERS,
        layer_weights: Sequence[float] | None = None,
        weights: str | None = 'torchvision://vgg16',
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        channel_order: str | None = None,
        clean_guide: ImageName = 'clean',
        adv_guide: ImageName = 'purified_clean',
        clean_weight: float = 1.0,
        adv_weight: float = 1.0,
        loss_weight: float = 1.0,
        detach_guide: bool = True,
    ) -> None:
        super().__init__(clean_guide, adv_guide, clean_weight, adv_weight, loss_weight, detach_guide)
        if channel_order not in ('bgr', 'rgb', None):
            raise UsageError(f"channel_order is 'bgr' or 'rgb', not {channel_order!r}")
        self.channel_order = channel_order
        if not layers:
            raise UsageError('PerceptualLoss compares features of layers, but layers is empty: leave the loss out')
        self.layer_weights = [1.0] * len(layers) if layer_weights is None else list(layer_weights)
        if len(self.layer_weights) != len(layers):
            raise UsageError(f'there are {len(layers)} layers but {len(self.layer_weights)} layer_weights')
        self.extractor = FrozenNetwork(network, layers, weights)
        self.register_buffer('mean', torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, purified: Tensor, guide: Tensor) -> Tensor:
        """Both ``(N, 3, H, W)`` in [-1, 1]; returns the scalar, weighted by layer only."""
        features = self._features([purified] if self.detach_guide else [purified, guide])
        with torch.no_grad():
            features += self._features([guide] if self.detach_guide else [])
        return self._distance(*features)

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        halves = self.halves
        guides = [half.guide for half in halves]
        tracked = dict.fromkeys([half.purified for half in halves] + ([] if self.detach_guide else guides))
        untracked = dict.fromkeys(guide for guide in guides if guide not in tracked)
        features = dict(zip(tracked, self._features([batch.pixels(name) for name in tracked])))
        with torch.no_grad():
            features.update(zip(untracked, self._features([batch.pixels(name) for name in untracked])))
        return {
            f'loss_perceptual_{half.name}': half.weight * self._distance(features[half.purified], features[half.guide])
            for half in halves
        }

    def _features(self, images: list[Tensor]) -> list[list[Tensor]]:
        """The layers' features of each batch of images, from one pass."""
        if not images:
            return []
        if self.channel_order is None:
            raise UsageError("PerceptualLoss needs channel_order='bgr' or 'rgb': how the pipeline loads images")
        pixels = to_pixels(torch.cat(images))
        if self.channel_order == 'bgr':
            pixels = pixels.flip(1)
        layers = self.extractor((pixels - self.mean) / self.std)
        return [list(own) for own in zip(*(layer.split([len(batch) for batch in images]) for layer in layers))]

    def _distance(self, features: Sequence[Tensor], guides: Sequence[Tensor]) -> Tensor:
        return total(
            weight * F.l1_loss(feature, self.as_guide(guide))
            for weight, feature, guide in zip(self.layer_weights, features, guides)
        )
