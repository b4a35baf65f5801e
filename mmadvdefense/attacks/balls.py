"""Norm balls in pixel space: projection, random starts, and steepest steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import Callable, Optional, Union

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

    def projection(self, clean: Tensor) -> Callable[[Tensor], Tensor]:
        """:meth:`project` around the same images at every step; what it is given may be overwritten."""
        return partial(self.project, clean=clean)

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
        return images.clamp(*self._bounds(clean))

    def projection(self, clean: Tensor) -> Callable[[Tensor], Tensor]:
        low, high = self._bounds(clean)
        return lambda images: images.clamp_(low, high)

    def _bounds(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest values, which saves computing the difference and a second clamp."""
        return (clean - self.eps).clamp_(min=0), (clean + self.eps).clamp_(max=PIXEL_MAX)

    def random_delta(self, clean: Tensor, randomness: Randomness) -> Tensor:
        return randomness.uniform_like(clean).mul_(2).sub_(1) * self.eps

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


class PatchBall(Ball):
    """Inside a region, pixels take any value; everywhere else they equal those of the clean image.

    Args:
        eps: largest possible change of a value, the whole pixel range.
        region: ``(N, 1, H, W)`` bool, the pixels that may change; None for the whole image.
    """

    def __init__(self, eps: Union[float, Tensor] = PIXEL_MAX, region: Optional[Tensor] = None):
        super().__init__(eps)
        self.region = region

    def of(self, index: int) -> PatchBall:
        return self if self.region is None else PatchBall(self.eps, self.region[index : index + 1])

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        images = images.clamp(0, PIXEL_MAX)
        return images if self.region is None else images.where(self.region, clean)

    def random_delta(self, clean: Tensor, randomness: Randomness) -> Tensor:
        return self.project(PIXEL_MAX * randomness.uniform_like(clean), clean) - clean

    def steepest(self, gradient: Tensor) -> Tensor:
        return gradient.sign() if self.region is None else gradient.sign() * self.region

    def size(self, delta: Tensor) -> Tensor:
        """The share of the pixels that differ in any channel, ``(N,)``."""
        return changed_pixels(delta).float().mean((1, 2))


def changed_pixels(delta: Tensor) -> Tensor:
    """Which pixels of perturbations ``(N, 3, H, W)`` differ from 0 in any channel, ``(N, H, W)`` bool."""
    return delta.ne(0).any(1)


# The norm of attacks whose budget is the share of the image that they change.
AREA = 'area'
BALLS: dict[str, type[Ball]] = {'linf': LinfBall, 'l2': L2Ball, AREA: PatchBall}
