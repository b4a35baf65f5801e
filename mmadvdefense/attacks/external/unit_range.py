"""A host model as other libraries expect it."""

from __future__ import annotations

from mmengine.model import BaseModel
from torch import Tensor, nn

from ...pixels import PIXEL_MAX


class UnitRangeHost(nn.Module):
    """A classifier of ``(N, 3, H, W)`` images in [0, 1]: its own preprocessor, then its ``(N, K)`` logits.

    For comparisons with other libraries, which can attack it like any other model;
    :class:`~mmadvdefense.attacks.external.library.UnitRangeClassifier` is used to run their attacks within this
    package.

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
