"""Wavelet denoising on the images' own device, with a gradient."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...pixels import PIXEL_MAX

# Rows: luminance and two colour differences (ITU-R BT.601) of R, G and B, at scikit-image's scale for R, G, B in 0-255.
_TO_YCBCR = (
    torch.tensor([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], dtype=torch.double)
    / PIXEL_MAX
)
_TO_RGB = _TO_YCBCR.inverse()


def denoise_wavelets(images: Tensor, sigma: float, bgr: bool = False) -> Tensor:
    """Soft thresholding of Haar coefficients in YCbCr, with one threshold for each sub-band (BayesShrink: Chang, Yu and
    Vetterli, "Adaptive Wavelet Thresholding for Image Denoising and Compression", IEEE TIP 2000).

    The threshold is ``sigma^2 / sqrt(max(E[d^2] - sigma^2, 0))`` for coefficients ``d``. The same as scikit-image's
    ``denoise_wavelet(method='BayesShrink', mode='soft', convert2ycbcr=True)`` with its default wavelet and number of
    levels, for a batch and differentiable.

    Args:
        images: pixels 0-255, ``(N, 3, H, W)``.
        sigma: standard deviation of the noise, in pixels.
        bgr: whether the channels are in the order BGR rather than RGB.

    Returns:
        Pixels of the same shape, possibly outside 0-255.
    """
    forward, backward = (_TO_YCBCR.flip(1), _TO_RGB.flip(0)) if bgr else (_TO_YCBCR, _TO_RGB)
    noise = (sigma * forward.square().sum(1).sqrt()).to(images)
    channels = torch.einsum('ij,njhw->nihw', forward.to(images), images)
    levels = max(int(math.log2(min(images.shape[2:]))) - 3, 1)
    shrunk = _shrink(channels, noise.view(-1, 1, 1, 1), levels)
    return torch.einsum('ij,njhw->nihw', backward.to(images), shrunk)


def _shrink(images: Tensor, sigma: Tensor, levels: int) -> Tensor:
    """Denoise ``(N, C, H, W)`` for noise of ``(C, 1, 1, 1)``, each channel for itself."""
    if levels == 0:
        return images
    height, width = images.shape[2:]
    average, details = split_haar(F.pad(images, (0, width % 2, 0, height % 2), mode='replicate'))
    average = _shrink(average, sigma, levels - 1)
    return merge_haar(average, _soft_threshold(details, sigma))[..., :height, :width]


def _soft_threshold(details: Tensor, sigma: Tensor) -> Tensor:
    """BayesShrink of ``(N, C, 3, h, w)``, each of the three sub-bands of each channel for itself."""
    variance = sigma.square()
    signal = details.square().mean((3, 4), keepdim=True) - variance
    # A sub-band with no more than the noise loses all its coefficients.
    threshold = variance / signal.clamp(min=torch.finfo(details.dtype).eps * variance).sqrt()
    return details - details.clamp(-threshold, threshold)


def split_haar(images: Tensor) -> tuple[Tensor, Tensor]:
    """One level of the orthonormal Haar transform.

    Args:
        images: ``(N, C, H, W)`` of even height and width.

    Returns:
        Averages ``(N, C, H / 2, W / 2)``, and details ``(N, C, 3, H / 2, W / 2)``: horizontal, vertical, diagonal.
    """
    rows = images[..., ::2, :], images[..., 1::2, :]
    bands = _haar(*(row[..., first::2] for row in rows for first in (0, 1)))
    return bands[:, :, 0], bands[:, :, 1:]


def merge_haar(average: Tensor, details: Tensor) -> Tensor:
    """The inverse of :func:`split_haar`."""
    # Orthonormal and symmetric: its own inverse.
    corners = _haar(average, *details.unbind(2))
    return F.pixel_shuffle(corners.flatten(1, 2), 2)


def _haar(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.stack([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 2) / 2
