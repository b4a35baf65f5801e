"""Replaces NaN and infinity in attacks, and counts their occurrences."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from ..pixels import Pixels


def with_finite_gradient(images: Pixels, counts: Tensor) -> Pixels:
    """The same images, with NaN and infinite entries of their gradient replaced by zero.

    If parts of a gradient are not finite, the attack follows the rest, and no later operation (momentum, smoothing, a
    norm) can spread NaN over the image.

    Args:
        images: ``(N, 3, H, W)``, or a list of ``(3, H_i, W_i)``; also k versions of each, ``(k * N, 3, H, W)``.
        counts: ``(N,)`` integers, incremented for each image with a non-finite gradient during the backward pass,
            without synchronizing with the device.
    """
    if isinstance(images, Tensor):
        return _guarded(images, counts)
    return [_guarded(image[None], counts[index % len(counts)][None])[0] for index, image in enumerate(images)]


def _guarded(images: Tensor, counts: Tensor) -> Tensor:
    if not (images.requires_grad and torch.is_grad_enabled()):
        return images
    # A new tensor, so that the hook is released with the graph and does not stay on the caller's tensor.
    images = images.view_as(images)
    images.register_hook(partial(_finite, counts))
    return images


def known_finite(values: Tensor) -> bool:
    """Whether all values are known to be finite; False on a device where to ask would mean to wait for it.

    No sum with NaN or infinity in it is finite. That of finite values can overflow, so False does not mean that some
    are not finite.
    """
    return values.is_cpu and math.isfinite(values.sum())


def _finite(counts: Tensor, gradient: Tensor) -> Tensor:
    # Attacks combine it with images in the usual layout, which takes long if that of a model differs.
    if known_finite(gradient):
        return gradient.contiguous()
    # Zero times a number is NaN if the number is not finite, and so is the sum. ``isfinite`` makes four passes.
    spoilt = gradient.mul(0).sum((1, 2, 3)).isnan()
    counts += spoilt if len(spoilt) == len(counts) else spoilt.view(-1, len(counts)).sum(0)
    return gradient.nan_to_num(0, 0, 0).contiguous()
