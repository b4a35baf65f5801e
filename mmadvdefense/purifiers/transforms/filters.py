"""Mean and median filters over a small window."""

from __future__ import annotations

from abc import abstractmethod

import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...pixels import Pixels
from ...registry import MODELS
from ..base import Purifier
from ..sizes import map_by_size


class FilterPurifier(Purifier):
    """Replaces each value with a statistic of the square window around it, channel by channel.

    Borders are padded by repeating the edge. Differentiable; images stay on their device.

    Args:
        kernel_size: side of the window in pixels, odd.
        kwargs: of :class:`Purifier` and the native preprocessor.

    Raises:
        ValueError: for a ``kernel_size`` that is even or below 1.
    """

    def __init__(self, kernel_size: int = 3, **kwargs):
        super().__init__(**kwargs)
        if kernel_size < 1 or kernel_size % 2 != 1:
            raise UsageError(f'{type(self).__name__}: kernel_size must be odd and at least 1, got {kernel_size}')
        self.kernel_size = int(kernel_size)

    @abstractmethod
    def filter(self, padded: Tensor) -> Tensor:
        """``(N, 3, H + k - 1, W + k - 1)`` to ``(N, 3, H, W)``."""

    def purify(self, images: Pixels) -> Pixels:
        return map_by_size(self._filter, images)

    def _filter(self, images: Tensor) -> Tensor:
        return self.filter(F.pad(images, [self.kernel_size // 2] * 4, mode='replicate'))


@MODELS.register_module()
class MeanFilterPurifier(FilterPurifier):
    """Mean of each window (Li and Li, "Adversarial Examples Detection in Deep Networks with Convolutional Filter
    Statistics", ICCV 2017).
    """

    def filter(self, padded: Tensor) -> Tensor:
        return F.avg_pool2d(padded, self.kernel_size, stride=1)


@MODELS.register_module()
class MedianFilterPurifier(FilterPurifier):
    """Median of each window (Xu, Evans and Qi, "Feature Squeezing", NDSS 2018).

    The gradient goes to the pixel that is the median, or to one of them in case of ties.
    """

    def filter(self, padded: Tensor) -> Tensor:
        windows = padded.unfold(2, self.kernel_size, 1).unfold(3, self.kernel_size, 1)
        return windows.flatten(-2).median(-1).values
