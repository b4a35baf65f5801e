"""Projected Adam."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError
from ...registry import ATTACKS
from .loop import GradientAttack


@ATTACKS.register_module()
class PAdam(GradientAttack):
    """PGD whose steps are Adam's (PAdam, Halmosi et al., ECCV 2024), for models of all tasks.

    The step of a pixel value is ``step_size * m / sqrt(v)`` with Adam's bias-corrected means m of the gradient and v of
    its square: about ``step_size`` where the gradient keeps its sign, and less where it alternates. For L2 that
    direction is divided by its length. On segmentors the authors use 200 steps of 2 pixels at a budget of 8 with the
    objectives ``'cross_entropy'`` (PAdam-CE) and ``'cosine'`` (PAdam-Cos).

    Args:
        args: ``eps``, ``step_size`` and ``steps`` of :class:`GradientAttack`.
        betas: decay of the two means, in [0, 1).
        amsgrad: divide by the largest v so far (Reddi et al., ICLR 2018).
        options: all other options of :class:`GradientAttack`.

    Raises:
        ValueError: for decays outside [0, 1), and as in :class:`GradientAttack`.
    """

    def __init__(self, *args: Any, betas: tuple[float, float] = (0.9, 0.999), amsgrad: bool = True, **options: Any):
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise UsageError(f'{type(self).__name__}: betas are two numbers in [0, 1), got {betas}')
        options.setdefault('random_start', 'uniform')
        super().__init__(*args, **options)
        self.betas = (float(betas[0]), float(betas[1]))
        self.amsgrad = amsgrad

    def direction(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        gradient = self._scaled(self.processed(gradient, state), state)
        (first, second), time = self.betas, state.get('time', 0) + 1
        mean = torch.lerp(gradient, state.get('mean', torch.zeros_like(gradient)), first)
        square = torch.lerp(gradient.square(), state.get('square', torch.zeros_like(gradient)), second)
        largest = torch.maximum(square, state['largest']) if self.amsgrad and 'largest' in state else square
        state.update(time=time, mean=mean, square=square, largest=largest)
        root = (largest / (1 - second**time)).sqrt()
        # The constant is relative, since the gradient is scaled.
        step = mean / (1 - first**time) / (root + 1e-8)
        return step if self.norm == 'linf' else self.ball.steepest(step)

    @staticmethod
    def _scaled(gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """Divided by the largest value of the image's first gradient: Adam's steps stay, and no square underflows."""
        size = gradient.flatten(1).abs().amax(1).view(-1, 1, 1, 1)
        known = state.get('size', torch.zeros_like(size))
        first: Tensor = known.where(known > 0, size)
        state['size'] = first
        return gradient / first.clamp(min=torch.finfo(gradient.dtype).tiny)
