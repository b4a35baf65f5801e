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
        resized_at_all, scale, *place = draw.split(1, 1)
        chosen = resized_at_all < self.probability
        # Elsewhere, to ask would mean to wait for the device.
        if chosen.is_cpu and not chosen.any():
            return images
        smallest, largest = self.scales
        scale = smallest + (largest - smallest) * scale
        sides = torch.tensor(batch.layout.sizes).to(images, non_blocking=True).split(1, 1)
        down, across = (
            self._resample(side, scale, where, canvas, batch.source.task.dense)
            for side, where, canvas in zip(sides, place, images.shape[-2:])
        )
        resized = down[:, None] @ images @ across[:, None].mT
        return torch.where(chosen[:, :, None, None], resized, images)

    def _resample(self, side: Tensor, scale: Tensor, place: Tensor, canvas: int, dense: bool) -> Tensor:
        """``(N, canvas, canvas)``: resampling matrices for rows or columns; sides, scales and places are ``(N, 1)``."""
        new = (side * scale).round().clamp(min=1)
        if dense:
            between = max(1, math.ceil(canvas * self.scales[1]))
            there = interpolation(side, new, torch.zeros_like(side), canvas, between)
            back = interpolation(new, side, torch.zeros_like(side), between, canvas)
            return back @ there
        room = (side - new).abs()
        # A draw just below 1 can be rounded up by the product.
        offset = (place * (room + 1)).floor().minimum(room) * (side - new).sign()
        matrix = interpolation(side, new, offset, canvas, canvas)
        row = torch.arange(canvas, device=side.device)
        return matrix * (row < side).unsqueeze(2)


def interpolation(old: Tensor, new: Tensor, offset: Tensor, columns: int, rows: int) -> Tensor:
    """Bilinear resizing of rows or columns as one matrix per image, which avoids a loop over images.

    Args:
        old: ``(N, 1)`` lengths of the lines, at most ``columns``.
        new: ``(N, 1)`` lengths after resizing.
        offset: ``(N, 1)`` positions at which the resized lines begin; may be negative.
        columns: length of the lines including padding.
        rows: length of the result, which is zero outside the resized line.

    Returns:
        ``(N, rows, columns)``.
    """
    row = torch.arange(rows, device=old.device, dtype=old.dtype)
    column = torch.arange(columns, device=old.device, dtype=old.dtype)
    # Values beyond the centre of the outermost pixel are replicated.
    position = ((row - offset + 0.5) * (old / new) - 0.5).clamp(min=0).minimum(old - 1)
    weight = (1 - (position[:, :, None] - column).abs()).clamp(min=0)
    inside = (row >= offset) & (row < offset + new)
    return weight * inside[:, :, None]
