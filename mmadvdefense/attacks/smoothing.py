"""Gradients smoothed by a kernel, which makes an attack translation-invariant (Dong et al., CVPR 2019)."""

from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_kernel(size: int, sigma: float, like: Tensor) -> Tensor:
    """A normalised ``(size, size)`` Gaussian."""
    position = torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2
    line = torch.exp(-(position**2) / (2 * sigma**2))
    kernel = line[:, None] * line[None, :]
    return kernel / kernel.sum()


def smooth(gradient: Tensor, kernel: Tensor, mask: Optional[Tensor]) -> Tensor:
    """Each channel of ``(N, 3, H, W)`` convolved with a ``(size, size)`` kernel, zero outside the image.

    Args:
        gradient: zero on padding.
        kernel: of odd size.
        mask: ``(N, 1, H, W)``, 1 on real pixels; None where nothing is padded.
    """
    gradient = F.conv2d(gradient, kernel.expand(3, 1, -1, -1), padding=kernel.shape[-1] // 2, groups=3)
    # Smoothing carries the gradient over the edge of an image, where it would count in the image's norm.
    return gradient if mask is None else gradient * mask
