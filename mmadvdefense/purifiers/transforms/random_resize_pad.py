"""Randomization: images resized to a random size and placed at a random position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...pixels import Pixels
from ...randomness import Randomness
from ...registry import MODELS
from ..base import RandomPurifier
from ..sizes import map_by_size_randomly


@MODELS.register_module()
class RandomResizePadPurifier(RandomPurifier):
    """Shrinks images by a random factor and pads them with zeros, at a random position, to their original size (Xie et
    al., "Mitigating Adversarial Effects Through Randomization", ICLR 2018).

    The paper resizes 299 pixels to 299-330 and pads to 331. Purifiers keep the image size, so the image itself
    corresponds to the padded 331 here, and ``min_scale=299 / 331`` gives the paper's range. Differentiable; images stay
    on their device.

    For classifiers only: boxes and masks would no longer match the objects.

    Args:
        min_scale: smallest factor, in (0, 1]. The factor is drawn uniformly from ``[min_scale, 1]`` and applied to both
            sides, which are rounded to whole pixels.
        interpolation: ``'bilinear'``, or ``'nearest'`` as in the authors' code.
        kwargs: of :class:`RandomPurifier`.

    Raises:
        ValueError: for a ``min_scale`` outside (0, 1], an unknown ``interpolation``, or in front of a detector or
            segmentor.
    """

    keeps_geometry = False

    def __init__(self, min_scale: float = 0.9, interpolation: str = 'bilinear', **kwargs):
        super().__init__(**kwargs)
        self._check_geometry(self)
        if not 0 < min_scale <= 1:
            raise UsageError(f'{type(self).__name__}: min_scale must be above 0 and at most 1, got {min_scale}')
        if interpolation not in ('bilinear', 'nearest'):
            raise UsageError(f"{type(self).__name__}: interpolation is 'bilinear' or 'nearest', got {interpolation!r}")
        self.min_scale = float(min_scale)
        self.interpolation = interpolation

    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        return map_by_size_randomly(self._purify_stacked, images, randomness)

    def _purify_stacked(self, images: Tensor, randomness: Randomness) -> Tensor:
        scale, top, left = randomness.uniform_like(images.new_empty(len(images), 3)).unbind(1)
        scale = self.min_scale + (1 - self.min_scale) * scale
        rows = _coordinates(images.shape[2], scale, top)
        columns = _coordinates(images.shape[3], scale, left)
        shape = (len(images), *images.shape[2:])
        grid = torch.stack([columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)], -1)
        # Zero outside the images; since they only shrink, no pixel interpolates between border and padding.
        return F.grid_sample(images, grid, self.interpolation, padding_mode='zeros', align_corners=False)


def _coordinates(length: int, scale: Tensor, place: Tensor) -> Tensor:
    """The position in the original images of each of ``length`` pixels of the padded ones.

    Args:
        length: length of the side in pixels.
        scale: ``(N,)``, factor of the shrunk side.
        place: ``(N,)`` uniform in [0, 1), position of the shrunk side within the padded one.

    Returns:
        ``(N, length)`` in the coordinates of ``grid_sample``, -1 to 1 from edge to edge.
    """
    size = (scale * length).round().clamp(min=1)
    offset = (place * (length - size + 1)).floor()
    position = torch.arange(length, device=scale.device) - offset[:, None]
    return (2 * position + 1) / size[:, None] - 1
