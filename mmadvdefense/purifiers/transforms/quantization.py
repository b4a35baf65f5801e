"""Purifiers that quantize, which removes small changes and leaves no useful gradient."""

from __future__ import annotations

from ...errors import UsageError
from ...pixels import PIXEL_MAX, Pixels
from ...registry import MODELS
from ..base import Purifier
from ..compression import compress_jpeg
from ..sizes import map_by_size


@MODELS.register_module()
class BitDepthPurifier(Purifier):
    """Rounds each value to the nearest of ``2 ** bits`` levels evenly spaced from 0 to 255.

    Xu, Evans and Qi, "Feature Squeezing", NDSS 2018; 3 bits are those of Guo et al., "Countering Adversarial Images
    using Input Transformations", ICLR 2018.

    Args:
        bits: bits per channel, 1-8.
        kwargs: of :class:`Purifier` and the native preprocessor.

    Raises:
        ValueError: for ``bits`` outside 1-8.
    """

    # The gradient of a step function is zero.
    differentiable = False

    def __init__(self, bits: int = 3, **kwargs):
        super().__init__(**kwargs)
        if bits not in range(1, 9):
            raise UsageError(f'BitDepthPurifier: bits must be an integer in 1-8, got {bits}')
        self.bits = int(bits)

    def purify(self, images: Pixels) -> Pixels:
        step = PIXEL_MAX / (2**self.bits - 1)
        return map_by_size(lambda stacked: (stacked / step).round() * step, images)


@MODELS.register_module()
class JPEGPurifier(Purifier):
    """Compresses images as JPEG (Dziugaite, Ghahramani and Roy, arXiv 1608.00853; quality 75: Guo et al., ICLR 2018).

    Args:
        quality: 1-100.
        kwargs: of :class:`Purifier` and the native preprocessor.

    Raises:
        ValueError: for a ``quality`` outside 1-100, or if the channel order is unknown.
    """

    differentiable = False

    def __init__(self, quality: int = 75, **kwargs):
        super().__init__(**kwargs)
        if quality not in range(1, 101):
            raise UsageError(f'JPEGPurifier: quality must be an integer in 1-100, got {quality}')
        self._order = self._require_channel_order('JPEGPurifier')
        self.quality = int(quality)

    def purify(self, images: Pixels) -> Pixels:
        return compress_jpeg(images, self.quality, self._order)
