"""Low-frequency images (discrete cosine transform), the search space of some query attacks."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosines(size: int, number: int, like: Tensor) -> Tensor:
    """The first rows of the orthonormal DCT-II, ``(number, size)``."""
    place = torch.arange(size, device=like.device, dtype=like.dtype) + 0.5
    frequency = torch.arange(number, device=like.device, dtype=like.dtype)[:, None]
    rows = torch.cos(math.pi / size * frequency * place) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows


class LowFrequencies:
    """Maps coefficients of the ``rows x columns`` lowest frequencies to images.

    The map is linear and preserves the L2 norm. The number of frequencies is limited to the number of pixels per side.
    """

    def __init__(self, rows: int, columns: int, like: Tensor):
        height, width = like.shape[-2:]
        self.rows = cosines(height, min(rows, height), like)
        self.columns = cosines(width, min(columns, width), like)

    @property
    def size(self) -> tuple[int, int]:
        """Numbers of frequencies along height and width."""
        return len(self.rows), len(self.columns)

    def images(self, coefficients: Tensor) -> Tensor:
        """``(N, C, rows, columns)`` to ``(N, C, H, W)``."""
        return self.rows.T @ coefficients @ self.columns

    def lowest(self, number: int, channels: int = 3) -> Tensor:
        """Indices of the lowest frequencies in flattened ``(channels, rows, columns)`` coefficients."""
        rows, columns = self.size
        order = torch.arange(rows)[:, None] / self.rows.shape[1] + torch.arange(columns) / self.columns.shape[1]
        return order.expand(channels, -1, -1).flatten().argsort(stable=True)[:number].to(self.rows.device)
