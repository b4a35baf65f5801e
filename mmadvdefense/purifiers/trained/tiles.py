"""Splits images into overlapping tiles of one size and merges them again."""

from __future__ import annotations

import math
from typing import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError


class Tiles:
    """Cuts images into evenly spread tiles, and blends the processed tiles back together.

    The weight of a tile decreases linearly towards its edges to avoid visible seams; the weights of a pixel sum to 1.

    Args:
        size: ``(H, W)`` of a tile.
        overlap: minimum overlap of neighbouring tiles as a share of their side, in [0, 1).

    Raises:
        ValueError: for a size that is not two positive numbers, or an overlap out of range.
    """

    def __init__(self, size: Sequence[int], overlap: float = 1 / 3):
        self.size = tuple(size) if isinstance(size, Sequence) else (size,)
        if len(self.size) != 2 or min(self.size) < 1:
            raise UsageError(f'tile_size must be (height, width) in pixels, got {size!r}')
        if not 0 <= overlap < 1:
            raise UsageError(f'tile_overlap must be a share of a tile in [0, 1), got {overlap!r}')
        self.overlap = overlap

    def pad(self, images: Tensor) -> Tensor:
        """Pad images ``(N, C, H, W)`` to at least a tile's size by repeating the last row and column."""
        below, right = (max(tile - side, 0) for tile, side in zip(self.size, images.shape[-2:]))
        return F.pad(images, (0, right, 0, below), mode='replicate') if below or right else images

    def number(self, images: Tensor) -> int:
        """Number of tiles that cover an image."""
        return math.prod(self._count(side, tile) for side, tile in zip(images.shape[-2:], self.size))

    def split(self, images: Tensor) -> Tensor:
        """Tiles ``(N * T, C, h, w)`` of images ``(N, C, H, W)`` no smaller than a tile; differentiable."""
        rows, columns = (self._indices(side, tile, images) for side, tile in zip(images.shape[-2:], self.size))
        grid = images.index_select(2, rows.flatten()).index_select(3, columns.flatten())
        grid = grid.unflatten(3, columns.shape).unflatten(2, rows.shape)
        return grid.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)

    def merge(self, tiles: Tensor, size: Sequence[int]) -> Tensor:
        """Images ``(N, C, H, W)`` of ``size`` from their tiles in the order of :meth:`split`."""
        rows, columns = (self._indices(side, tile, tiles) for side, tile in zip(size, self.size))
        grid = tiles.unflatten(0, (-1, len(rows), len(columns))).permute(0, 3, 1, 4, 2, 5)
        # Separable: the weight of a pixel is the product of the weights of its row and column.
        lines = _add_up(grid.flatten(4), 4, columns, size[1])
        return _add_up(lines.flatten(2, 3), 2, rows, size[0])

    def _count(self, side: int, tile: int) -> int:
        stride = max(tile - math.ceil(self.overlap * tile), 1)
        return math.ceil((side - tile) / stride) + 1

    def _indices(self, side: int, tile: int, like: Tensor) -> Tensor:
        """The coordinates of each tile's pixels along one axis, ``(T, tile)``."""
        count = self._count(side, tile)
        starts = [index * (side - tile) // max(count - 1, 1) for index in range(count)]
        first = torch.tensor(starts).to(like.device, non_blocking=True)
        return first[:, None] + torch.arange(tile, device=like.device)


def _add_up(values: Tensor, axis: int, indices: Tensor, side: int) -> Tensor:
    """Scatter-add along ``axis``, which holds the values of all tiles, to a length of ``side``."""
    tile = indices.shape[1]
    position = torch.arange(tile, device=values.device, dtype=values.dtype)
    ramp = torch.minimum(position + 1, tile - position).repeat(len(indices))
    indices = indices.flatten()
    total = ramp.new_zeros(side).index_add(0, indices, ramp)
    shape = [1] * values.ndim
    shape[axis] = -1
    weighted = values * (ramp / total[indices]).view(shape)
    zeros = values.new_zeros(*values.shape[:axis], side, *values.shape[axis + 1 :])
    return zeros.index_add(axis, indices, weighted)
