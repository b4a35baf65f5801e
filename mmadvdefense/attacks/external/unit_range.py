"""A host in the form in which other libraries take models."""

from __future__ import annotations

from mmengine.model import BaseModel
from torch import Tensor, nn

from ...pixels import PIXEL_MAX


class UnitRangeHost(nn.Module):
    """A classifier of ``(N, 3, H, W)`` images in [0, 1]: its own preprocessor, then its ``(N, K)`` logits.

    To compare with other libraries, which run their attacks on it as they would on any model;
    :class:`~mmadvdefense.attacks.external.library.UnitRangeClassifier` is what runs their attacks within this package.

    Args:
        host: a model of MMPretrain.
    """

    def __init__(self, host: BaseModel) -> None:
        super().__init__()
        self.host = host

    def forward(self, images: Tensor) -> Tensor:
        inputs = self.host.data_preprocessor({'inputs': images * PIXEL_MAX, 'data_samples': None})['inputs']
        logits: Tensor = self.host(inputs, mode='tensor')
        return logits
