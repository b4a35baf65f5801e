"""Patches joined along the path where they differ least: the minimum error boundary cut of Efros and Freeman ("Image
Quilting for Texture Synthesis and Transfer", SIGGRAPH 2001).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def join(strips: Tensor, overlap: int) -> Tensor:
    """Join strips side by side, each overlapping the one before.

    Args:
        strips: ``(K, B, C, L, p)``, ``K`` strips of length ``L`` and width ``p``, from left to right.
        overlap: number of columns shared by two neighbours, at most ``p // 2``.

    Returns:
        ``(B, C, L, K * (p - overlap) + overlap)``.
    """
    if overlap == 0 or len(strips) == 1:
        return torch.cat(list(strips), -1)
    left, right = strips[:-1, ..., -overlap:], strips[1:, ..., :overlap]
    error = (left - right).square().sum(2)
    keep_left = boundary_cut(error.flatten(0, 1)).view(error.shape)[:, :, None]
    seams = torch.where(keep_left, left, right)
    middles = strips[..., overlap : strips.shape[-1] - overlap]
    parts = [strips[0, ..., :overlap]]
    for middle, seam in zip(middles, seams):
        parts += [middle, seam]
    return torch.cat([*parts, middles[-1], strips[-1, ..., -overlap:]], -1)


def boundary_cut(error: Tensor) -> Tensor:
    """Which pixels of an overlap lie on the near side of the cheapest path through it, from its first row to its last.

    Args:
        error: ``(N, L, o)``, cost of the path at each pixel. The path moves by at most one column per row.

    Returns:
        ``(N, L, o)`` boolean, true left of the path.
    """
    costs = [error[:, 0]]
    moves = []
    for row in error.unbind(1)[1:]:
        around = F.pad(costs[-1], (1, 1), value=torch.inf).unfold(1, 3, 1)
        cheapest = around.min(-1)
        moves.append(cheapest.indices - 1)
        costs.append(row + cheapest.values)
    column = costs[-1].argmin(1, keepdim=True)
    path = [column]
    for move in reversed(moves):
        column = column + move.gather(1, column)
        path.append(column)
    return torch.arange(error.shape[2], device=error.device) < torch.stack(path[::-1], 1)
