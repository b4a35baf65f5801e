"""Smoothing of gradients with a Gaussian kernel (Dong et al., CVPR 2019)."""

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
    """Convolve each channel of ``(N, 3, H, W)`` with a ``(size, size)`` kernel, with zero padding.

    Args:
        gradient: zero on padding.
        kernel: kernel of odd size.
        mask: ``(N, 1, H, W)``, 1 on real pixels; None without padding.
    """
    gradient = F.conv2d(gradient, kernel.expand(3, 1, -1, -1), padding=kernel.shape[-1] // 2, groups=3)
    # Smoothing spreads the gradient into the padding, where it would contribute to the image's norm.
    return gradient if mask is None else gradient * mask
