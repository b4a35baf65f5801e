"""Input diversity: random resizing of the images at each step (Xie et al., CVPR 2019)."""

from __future__ import annotations

import math
from typing import Sequence

import torch
from torch import Tensor

from ...errors import UsageError
from ..batch import AttackBatch


class InputDiversity:
    """Resizes each image with some probability and by a random factor, while keeping the size of the frame.

    A classifier sees the shrunk image at a random position in a black frame, or a random crop of the enlarged image.
    The paper enlarges 299 pixels to between 299 and 330 inside 331, which are factors of 0.90 to 1 of that frame;
    keeping the frame size suits models with a fixed input size.

    For dense tasks nothing may move relative to masks and boxes: the image is resized and then resized back, so that it
    only loses detail.

    All of it is bilinear (pixel centres, ``align_corners=False``) and differentiable.

    Args:
        probability: probability that an image is resized at a step, in (0, 1].
        scales: the smallest and the largest factor; drawn uniformly, then the sides are rounded to whole pixels.

    Raises:
        ValueError: for a probability or factors out of range.
    """

    def __init__(self, probability: float, scales: Sequence[float] = (0.9, 1.0)):
        if not 0 < probability <= 1:
            raise UsageError(f'diversity must be a probability in (0, 1], got {probability}')
        if len(scales) != 2 or not 0 < scales[0] <= scales[1]:
            raise UsageError(f'diversity_scales must be the smallest and the largest factor, above 0, got {scales}')
        self.probability = probability
        self.scales = tuple(float(scale) for scale in scales)

    def __call__(self, images: Tensor, batch: AttackBatch) -> Tensor:
        """Images ``(N, 3, H, W)`` randomly transformed for one step, with the batch's random numbers."""
        draw = batch.randomness.uniform_like(images.detach().new_empty(len(images), 4))
        sides = torch.tensor(batch.layout.sizes, dtype=images.dtype).to(images.device, non_blocking=True).unsqueeze(2)
        chosen, dense = draw[:, 0] < self.probability, batch.source.task.dense
        if not chosen.is_cpu:
            # To ask which would mean to wait for the device.
            return torch.where(chosen.view(-1, 1, 1, 1), self._resized(images, sides, draw, dense), images)
        at = chosen.nonzero().squeeze(1)
        if len(at) == len(images):
            return self._resized(images, sides, draw, dense)
        if not len(at):
            return images
        return images.index_copy(0, at, self._resized(images.index_select(0, at), sides[at], draw[at], dense))

    def _resized(self, images: Tensor, sides: Tensor, draw: Tensor, dense: bool) -> Tensor:
        """All images resized; ``sides`` are ``(N, 2, 1)``, and ``draw[:, 1:]`` decides on scale and place."""
        smallest, largest = self.scales
        new = (sides * (smallest + (largest - smallest) * draw[:, 1, None, None])).round().clamp(min=1)
        place, (height, width) = draw[:, 2:, None], images.shape[-2:]
        if height == width:
            # Rows and columns at once take half as many operations.
            both = self._resample(sides, new, place, height, dense)
            down, across = both[:, :1], both[:, 1:]
        else:
            down, across = (
                self._resample(sides[:, axis], new[:, axis], place[:, axis], canvas, dense)
                for axis, canvas in ((slice(0, 1), height), (slice(1, 2), width))
            )
        return down @ images @ across.mT

    def _resample(self, side: Tensor, new: Tensor, place: Tensor, canvas: int, dense: bool) -> Tensor:
        """Resampling matrices for rows or columns, ``(..., canvas, canvas)``; sides and places are ``(..., 1)``."""
        if dense:
            between, origin = max(1, math.ceil(canvas * self.scales[1])), torch.zeros_like(side)
            there = interpolation(side, new, origin, new, canvas, between)
            return interpolation(new, side, origin, side, between, canvas) @ there
        room = (side - new).abs()
        # A draw just below 1 can be rounded up by the product.
        offset = (place * (room + 1)).floor().minimum(room) * (side - new).sign()
        return interpolation(side, new, offset, (offset + new).minimum(side), canvas, canvas)


def interpolation(old: Tensor, new: Tensor, offset: Tensor, end: Tensor, columns: int, rows: int) -> Tensor:
    """Bilinear resizing of rows or columns as one matrix per image, which avoids a loop over images.

    Args:
        old: ``(..., 1)`` lengths of the lines, at most ``columns``.
        new: ``(..., 1)`` lengths after resizing.
        offset: ``(..., 1)`` positions at which the resized lines begin; may be negative.
        end: ``(..., 1)`` positions behind the last value that is kept.
        columns: length of the lines including padding.
        rows: length of the result, which is zero outside the resized line.

    Returns:
        ``(..., rows, columns)``.
    """
    row = torch.arange(rows, device=old.device, dtype=old.dtype)
    column = row if columns == rows else torch.arange(columns, device=old.device, dtype=old.dtype)
    # Values beyond the centre of the outermost pixel are replicated.
    position = ((row - offset + 0.5) * (old / new) - 0.5).clamp(min=0).minimum(old - 1)
    # One position before the first value, where its weight and those of all others are zero.
    position = position.masked_fill((row < offset) | (row >= end), -1)
    return (1 - (position.unsqueeze(-1) - column).abs_()).clamp_(min=0)
