"""Norm balls in pixel space: where an attack may go, where it starts, and which step is steepest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Union

import torch
from torch import Tensor

from ..pixels import PIXEL_MAX
from ..randomness import Randomness


class Ball(ABC):
    """All images within ``eps`` of a clean image, inside the pixel range 0-255. Images are ``(N, 3, H, W)``.

    Args:
        eps: radius in pixels (0-255): one for all images, or a tensor with the radius of each, ``(N,)`` or
            ``(N, 1, 1, 1)``.

    Attributes:
        eps: as given, a tensor always ``(N, 1, 1, 1)``.
    """

    def __init__(self, eps: Union[float, Tensor]):
        self.eps = eps.view(-1, 1, 1, 1) if isinstance(eps, Tensor) else eps

    def of(self, index: int) -> Ball:
        """The ball of one image of the batch."""
        return type(self)(self.eps[index]) if isinstance(self.eps, Tensor) else self

    @abstractmethod
    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """The nearest images that lie in the ball and in the pixel range."""

    @abstractmethod
    def random_delta(self, clean: Tensor, randomness: Randomness) -> Tensor:
        """A random point of the ball around zero."""

    @abstractmethod
    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of unit size in which a linear function with this gradient grows fastest."""

    @abstractmethod
    def size(self, delta: Tensor) -> Tensor:
        """The norm of each perturbation, ``(N,)``."""


class LinfBall(Ball):
    """Every pixel value changes by at most ``eps``."""

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        # One pass: the two bounds in pixels instead of a difference, a clamp, a sum and another clamp.
        low, high = (clean - self.eps).clamp_(min=0), (clean + self.eps).clamp_(max=PIXEL_MAX)
        return torch.minimum(torch.maximum(images, low), high)

    def random_delta(self, clean: Tensor, randomness: Randomness) -> Tensor:
        return (randomness.uniform_like(clean) * 2 - 1) * self.eps

    def steepest(self, gradient: Tensor) -> Tensor:
        return gradient.sign()

    def size(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).abs().amax(1)


class L2Ball(Ball):
    """The Euclidean length of the change of an image is at most ``eps``."""

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        delta = images - clean
        size = self.size(delta).clamp(min=torch.finfo(delta.dtype).tiny).view(-1, 1, 1, 1)
        return (clean + delta * (self.eps / size).clamp(max=1)).clamp(0, PIXEL_MAX)

    def random_delta(self, clean: Tensor, randomness: Randomness) -> Tensor:
        direction = self.steepest(randomness.normal_like(clean))
        radius = randomness.uniform_like(clean[:, :1, :1, :1]) ** (1 / clean[0].numel())
        return direction * radius * self.eps

    def steepest(self, gradient: Tensor) -> Tensor:
        tiny = torch.finfo(gradient.dtype).tiny
        # The gradient of a confident model can be so small that its square is 0.
        gradient = gradient / gradient.flatten(1).abs().amax(1).clamp(min=tiny).view(-1, 1, 1, 1)
        return gradient / self.size(gradient).clamp(min=tiny).view(-1, 1, 1, 1)

    def size(self, delta: Tensor) -> Tensor:
        size: Tensor = torch.linalg.vector_norm(delta.flatten(1), dim=1)
        return size


BALLS: dict[str, type[Ball]] = {'linf': LinfBall, 'l2': L2Ball}
