"""A defense known to the attacker, and the gradient used for it."""

from __future__ import annotations

from typing import Any, Callable, Optional

import torch
from torch import Tensor

from ..pixels import Pixels
from ..randomness import Randomness

# Maps pixels, with a source of random numbers, to cleaned pixels in the same layout.
Defense = Callable[[Pixels, Randomness], Pixels]


class BackwardPass:
    """A defense with the backward pass of another function: BPDA (Athalye et al., ICML 2018).

    Args:
        defense: the function of the forward pass; its own gradient, if any, is not used.
        substitute: the function that provides the gradient, e.g. a purifier trained by the attacker; None for the
            identity.
    """

    def __init__(self, defense: Defense, substitute: Optional[Defense] = None):
        self.defense = defense
        self.substitute = substitute

    def __call__(self, images: Pixels, randomness: Randomness) -> Pixels:
        with torch.no_grad():
            cleaned = self.defense(images, randomness)
        smooth = images if self.substitute is None else self.substitute(images, randomness)
        if isinstance(smooth, Tensor) and isinstance(cleaned, Tensor):
            return _replace(smooth, cleaned)
        return [_replace(before, after) for before, after in zip(smooth, cleaned)]


def _replace(smooth: Tensor, value: Tensor) -> Tensor:
    # An ensemble of purifiers returns several views of an image, concatenated along the channels.
    views = value.shape[-3] // smooth.shape[-3]
    replaced: Tensor = _Replace.apply(torch.cat([smooth] * views, -3), value)
    return replaced


class _Replace(torch.autograd.Function):
    """The value of one tensor with the gradient of another of the same shape."""

    @staticmethod
    def forward(ctx: Any, smooth: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
