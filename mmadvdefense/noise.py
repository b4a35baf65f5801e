"""Gaussian noise on pixels, as randomized smoothing adds it."""

from __future__ import annotations

from typing import Optional

from torch import Tensor

from .errors import UsageError
from .pixels import PIXEL_MAX, Pixels
from .randomness import Randomness


def checked_sigma(owner: str, sigma: Optional[float]) -> float:
    """A standard deviation in pixels (0-255).

    Args:
        owner: what has this sigma, for the error message.
        sigma: the value to check.

    Raises:
        UsageError: below 1, which in all likelihood is meant in the papers' unit, of images in 0-1.
    """
    if isinstance(sigma, bool) or not isinstance(sigma, (int, float)) or not 1 <= sigma < float('inf'):
        remedy = ''
        if isinstance(sigma, (int, float)) and 0 < sigma < 1:
            remedy = f'; {sigma:g} of images in 0-1, as papers state it, is sigma={sigma * PIXEL_MAX:g}'
        raise UsageError(f'{owner}: sigma is in pixels (0-255) and must be a number >= 1, got {sigma!r}{remedy}')
    return float(sigma)


def add_gaussian_noise(images: Pixels, sigma: float, randomness: Randomness) -> Pixels:
    """``clip(images + sigma * N(0, 1))``, in the layout of ``images``; differentiable where nothing is clipped.

    Clipping does not void a certificate of randomized smoothing: it is a fixed function of the noisy image, so it is
    the first layer of the classifier that is smoothed.

    Args:
        images: pixels 0-255, ``(N, 3, H, W)`` or a list of ``(3, H_i, W_i)``; in a list, the noise of an image does not
            depend on the sizes of the others.
        sigma: standard deviation in pixels, before clipping to 0-255.
        randomness: the stream that the noise is drawn from.
    """
    if isinstance(images, Tensor):
        return (images + sigma * randomness.normal_like(images)).clamp(0, PIXEL_MAX)
    return [
        (image + sigma * randomness.of(index).normal_like(image[None])[0]).clamp(0, PIXEL_MAX)
        for index, image in enumerate(images)
    ]
