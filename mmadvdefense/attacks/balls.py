"""Norm balls in pixel space: projection, random starts, and steepest steps."""

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
        eps: radius in pixels (0-255): a float, or a tensor with one radius per image, ``(N,)`` or ``(N, 1, 1, 1)``.

    Attributes:
        eps: the radius; a tensor is reshaped to ``(N, 1, 1, 1)``.
    """

    def __init__(self, eps: Union[float, Tensor]):
        self.eps = eps.view(-1, 1, 1, 1) if isinstance(eps, Tensor) else eps

    def of(self, index: int) -> Ball:
        """The ball of one image of the batch."""
        return type(self)(self.eps[index]) if isinstance(self.eps, Tensor) else self

    @abstractmethod
    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """Project images into the ball and the pixel range."""

    @abstractmethod
    def random_delta(self, clean: Tensor, randomness: Randomness) -> Tensor:
        """A random point of the ball around zero."""

    @abstractmethod
    def steepest(self, gradient: Tensor) -> Tensor:
        """The unit-norm direction of steepest ascent for this gradient."""

    @abstractmethod
    def size(self, delta: Tensor) -> Tensor:
        """The norm of each perturbation, ``(N,)``."""


class LinfBall(Ball):
    """L-infinity: every pixel value changes by at most ``eps``."""

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        # Clamping to both bounds at once saves computing the difference and a second clamp.
        low, high = (clean - self.eps).clamp_(min=0), (clean + self.eps).clamp_(max=PIXEL_MAX)
        return torch.minimum(torch.maximum(images, low), high)

    def random_delta(self, clean: Tensor, randomness: Randomness) -> Tensor:
        return (randomness.uniform_like(clean) * 2 - 1) * self.eps

    def steepest(self, gradient: Tensor) -> Tensor:
        return gradient.sign()

    def size(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).abs().amax(1)


class L2Ball(Ball):
    """L2: the Euclidean norm of an image's perturbation is at most ``eps``."""

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
        # Rescaled first, because the square of a confident model's gradient can underflow to 0.
        gradient = gradient / gradient.flatten(1).abs().amax(1).clamp(min=tiny).view(-1, 1, 1, 1)
        return gradient / self.size(gradient).clamp(min=tiny).view(-1, 1, 1, 1)

    def size(self, delta: Tensor) -> Tensor:
        size: Tensor = torch.linalg.vector_norm(delta.flatten(1), dim=1)
        return size


BALLS: dict[str, type[Ball]] = {'linf': LinfBall, 'l2': L2Ball}
