"""Batches of images of different sizes, for purifiers that take one size at a time."""

from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor

from ..pixels import Layout, Pixels
from ..randomness import Randomness


def map_by_size(function: Callable[[Tensor], Tensor], images: Pixels) -> Pixels:
    """Apply a function of ``(N, 3, H, W)`` to a batch, all images of one size at once.

    Returns:
        What it makes of each image, in the layout of ``images``; gradients flow through.
    """
    return _map(lambda stacked, _: function(stacked), images)


def map_by_size_randomly(
    function: Callable[[Tensor, Randomness], Tensor], images: Pixels, randomness: Randomness
) -> Pixels:
    """:func:`map_by_size` for a function that draws: it gets the streams of the images that it is given."""
    if isinstance(images, Tensor):
        return function(images, randomness)
    return _map(lambda stacked, members: function(stacked, randomness.select(members)), images)


def _map(function: Callable[[Tensor, list[int]], Tensor], images: Pixels) -> Pixels:
    if isinstance(images, Tensor):
        return function(images, list(range(len(images))))
    results: dict[int, Tensor] = {}
    for members in Layout.of(images).groups().values():
        results.update(zip(members, function(torch.stack([images[i] for i in members]), members)))
    return [results[index] for index in range(len(images))]
