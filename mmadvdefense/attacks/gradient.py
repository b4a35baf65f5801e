"""The gradient attacks: each states how it differs from the loop."""

from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from ..randomness import Randomness
from ..registry import ATTACKS
from .loop import GradientAttack


def gaussian_kernel(size: int, sigma: float, like: Tensor) -> Tensor:
    """A normalised ``(size, size)`` Gaussian."""
    position = torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2
    line = torch.exp(-(position**2) / (2 * sigma**2))
    kernel = line[:, None] * line[None, :]
    return kernel / kernel.sum()


@ATTACKS.register_module()
class FGSM(GradientAttack):
    """One step of the whole budget (Goodfellow et al., ICLR 2015)."""

    def __init__(self, eps: float, step_size: Optional[float] = None, **kwargs):
        # With eps=0 any step leads back to the clean image, but a step must not be 0.
        super().__init__(eps, (eps or 1.0) if step_size is None else step_size, steps=1, **kwargs)


@ATTACKS.register_module()
class BIM(GradientAttack):
    """Several small steps from the clean image (Kurakin et al., ICLR 2017 workshop); also called I-FGSM."""


@ATTACKS.register_module()
class PGD(GradientAttack):
    """BIM from a random start (Madry et al., ICLR 2018), optionally translation-invariant (Dong et al., CVPR 2019).

    Args:
        random_start: ``'uniform'`` in the ball, ``'normal'`` around the clean image, or None.
        start_std: standard deviation of the normal start in pixels; 0.001 * 255 as in TRADES.
        kernel_size: side of the Gaussian that the gradient is smoothed with; None for the plain gradient.
        kernel_sigma: its standard deviation, a fifth of the side by default (Dong et al. take 15 and 3).
    """

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        random_start: Optional[str] = 'uniform',
        start_std: float = 0.001 * 255,
        kernel_size: Optional[int] = None,
        kernel_sigma: Optional[float] = None,
        **kwargs,
    ):
        super().__init__(eps, step_size, steps, **kwargs)
        if random_start not in ('uniform', 'normal', None):
            raise ValueError(f"random_start must be 'uniform', 'normal' or None, got {random_start!r}")
        if kernel_size is not None and (kernel_size < 1 or kernel_size % 2 == 0):
            raise ValueError(f'kernel_size must be odd, got {kernel_size}')
        self.random_start = random_start
        self.start_std = start_std
        self.kernel_size = kernel_size
        self.kernel_sigma = kernel_sigma or (kernel_size or 0) / 5

    def start(self, clean: Tensor, randomness: Randomness) -> Tensor:
        if self.random_start == 'uniform':
            return clean + self.ball.random_delta(clean, randomness)
        if self.random_start == 'normal':
            return clean + self.start_std * randomness.normal_like(clean)
        return clean

    def direction(self, gradient: Tensor, state: dict) -> Tensor:
        if self.kernel_size is None:
            return self.ball.steepest(gradient)
        if 'kernel' not in state:
            kernel = gaussian_kernel(self.kernel_size, self.kernel_sigma, gradient)
            state['kernel'] = kernel.expand(3, 1, -1, -1)
        gradient = F.conv2d(gradient, state['kernel'], padding=self.kernel_size // 2, groups=3)
        if state['mask'] is not None:
            # Smoothing carries the gradient over the edge of an image, where it would count in the image's norm.
            gradient = gradient * state['mask']
        return self.ball.steepest(gradient)
