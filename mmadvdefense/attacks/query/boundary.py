"""Initialization of decision attacks: noise that fools the model, and bisection to the boundary."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...pixels import PIXEL_MAX
from .oracle import Oracle


def noisy_starts(oracle: Oracle) -> Tensor:
    """Noise images that fool the model, ``(N, 3, H, W)``; if none is found, the image's queries are used up.

    A classifier often assigns all white noise to one class, which may be the true one. So the noise is drawn in blocks
    of one pixel, two, four and so on up to a uniform colour, and then again from one pixel.
    """
    clean = oracle.clean
    height, width = clean.shape[-2:]
    starts = clean.clone()
    scales = math.ceil(math.log2(max(height, width))) + 1
    missing, attempt = oracle.active(), 0
    while missing:
        block = 2 ** (attempt % scales)
        grid = clean.new_empty(len(missing), 3, math.ceil(height / block), math.ceil(width / block))
        noise = oracle.randomness.select(missing).uniform_like(grid) * PIXEL_MAX
        noise = F.interpolate(noise, scale_factor=block, mode='nearest')[..., :height, :width]
        fooled = oracle.decisions(noise, missing)
        starts[missing] = torch.where(fooled.view(-1, 1, 1, 1), noise, starts[missing])
        left = set(oracle.active())
        missing = [i for i, hit in zip(missing, fooled.tolist()) if not hit and i in left]
        attempt += 1
    return starts


def bisect(oracle: Oracle, right: Tensor, wrong: Tensor, index: list[int], tolerance: float) -> Tensor:
    """Bisect between images that do not fool the model (``right``) and images that do (``wrong``).

    Args:
        oracle: answers the queries; each image has a query budget.
        right: ``(N, 3, H, W)``.
        wrong: likewise.
        index: the images to search; the others are returned as in ``wrong``.
        tolerance: maximum distance (L2, pixels) of a result from a point that does not fool the model.
    """
    right, wrong = right.clone(), wrong.clone()
    # For large images the rounding error alone exceeds the tolerance, and bisection would never end.
    rounding = torch.finfo(right.dtype).eps * PIXEL_MAX * math.sqrt(right[0].numel())
    tolerance = max(tolerance, 2 * rounding)
    while True:
        active, far = set(oracle.active()), (wrong - right).flatten(1).norm(dim=1).gt(tolerance).tolist()
        index = [i for i in index if i in active and far[i]]
        if not index:
            return wrong
        middle = (right[index] + wrong[index]) / 2
        fooled = oracle.decisions(middle, index).view(-1, 1, 1, 1)
        wrong[index] = torch.where(fooled, middle, wrong[index])
        right[index] = torch.where(fooled, right[index], middle)
