"""Primal-dual proximal gradient descent."""

from __future__ import annotations

import math
from typing import Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...registry import ATTACKS
from .base import SUCCESS_THRESHOLD
from .proximal import Constraints, Descent, ProximalAttack, check_settings

_BETA1, _BETA2, _TINY = 0.9, 0.999, 1e-8
# Bounds of a dual variable relative to that of the norm.
_LARGEST_LOG = -math.log(1e-12)


@ATTACKS.register_module()
class PDPGD(ProximalAttack):
    """Primal-dual proximal gradient descent (Matyasko and Chau, 2021, arXiv 2106.01538) in L-infinity, with a dual
    variable for each pixel (Rony et al., CVPR 2023).

    A game for the Lagrangian ``lambda_0 ||delta|| + sum_i lambda_i c_i`` of the constraints ``c_i <= 0``, how far the
    true class of pixel i leads in its logits. The first player moves delta by a step of Adam on
    ``sum_i lambda_i log(1 + exp c_i)`` and a proximal step on the norm in Adam's metric, which is exact
    (:func:`~mmadvdefense.attacks.minimal.proximal.prox_linf`; the paper approaches it by a few steps in the Euclidean
    metric). The second player moves the logarithms of the dual variables by the sign of ``c_i``; their softmax,
    smoothed over the steps, is lambda.

    Args:
        eps: radius of the ball in pixels (0-255) to which every step is confined; None for the minimum-norm form.
        norm: ``'linf'``.
        steps: number of steps, with one gradient each.
        success_threshold: share of the labelled pixels of an image that must be wrong (targeted: in the target class).
        targeted: False, or how the target class is chosen, as for every attack.
        fill: scale perturbations smaller than ``eps`` up to that size.
        learning_rate: of Adam at the first step, for pixels in 0-1.
        final_rate: the learning rate at the last step, relative to the first one; it falls exponentially.
        initial_ratio: ``lambda_0`` at the first step, relative to the sum of all other dual variables.
        dual_rate: length of the first dual step, in logarithms.
        final_dual_rate: the same at the last step, relative to the first one; it falls linearly.
        dual_smoothing: of the dual variables.

    Raises:
        ValueError: for a setting out of range.
    """

    def __init__(
        self,
        eps: Optional[float] = None,
        norm: str = 'linf',
        steps: int = 500,
        success_threshold: float = SUCCESS_THRESHOLD,
        targeted: Union[bool, str] = False,
        fill: bool = False,
        learning_rate: float = 0.01,
        final_rate: float = 0.01,
        initial_ratio: float = 1.0,
        dual_rate: float = 0.1,
        final_dual_rate: float = 0.1,
        dual_smoothing: float = 0.9,
    ):
        super().__init__(eps, norm, targeted, steps, success_threshold, fill, learning_rate)
        check_settings('PDPGD', 0, math.inf, initial_ratio=initial_ratio, dual_rate=dual_rate)
        check_settings('PDPGD', 0, 1, final_rate=final_rate, final_dual_rate=final_dual_rate)
        if not 0 <= dual_smoothing < 1:
            raise UsageError(f'PDPGD: dual_smoothing must be in [0, 1), got {dual_smoothing}')
        self.final_rate = final_rate
        self.initial_ratio = initial_ratio
        self.dual_rate = dual_rate
        self.final_dual_rate = final_dual_rate
        self.dual_smoothing = dual_smoothing

    def begin(self, constraints: Constraints) -> Descent:
        return _Game(self, constraints)


class _Game(Descent):
    """The dual variables of one batch, and Adam's means of its gradients."""

    def __init__(self, attack: PDPGD, constraints: Constraints):
        self.attack = attack
        known = constraints.known
        count = known.sum(1, keepdim=True).clamp(min=1)
        self.log_dual = -(attack.initial_ratio * count).log().expand(known.shape)
        self.dual = self._shares(known)
        self.mean: Optional[Tensor] = None
        self.square: Optional[Tensor] = None
        self.ratio = torch.zeros_like(self.dual[:, 0])

    def _shares(self, known: Tensor) -> Tensor:
        """The dual variables of the norm, whose logarithm is 0, and of the pixels, ``(N, 1 + P)``; their sum is 1."""
        return F.pad(self.log_dual.where(known, -torch.inf), (1, 0)).softmax(1)

    def penalty(self, constraints: Constraints, reached: Tensor, step: int) -> Tensor:
        attack, gap = self.attack, constraints.gap
        if step:
            self.dual = self.dual.lerp(self._shares(constraints.known), 1 - attack.dual_smoothing)
        dual = self.dual[:, 1:]
        self.ratio = self.dual[:, 0] / dual.sum(1)
        progress = step / max(attack.steps - 1, 1)
        rate = attack.dual_rate * (1 - progress * (1 - attack.final_dual_rate))
        self.log_dual = (self.log_dual + rate * gap.detach().sign()).clamp(-_LARGEST_LOG, _LARGEST_LOG)
        return (dual * F.softplus(gap)).sum(1)

    def move(self, gradient: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        attack = self.attack
        mean, square = (1 - _BETA1) * gradient, (1 - _BETA2) * gradient.square()
        self.mean = mean if self.mean is None else _BETA1 * self.mean + mean
        self.square = square if self.square is None else _BETA2 * self.square + square
        metric = (self.square / (1 - _BETA2 ** (step + 1))).sqrt() + _TINY
        rate = attack.learning_rate * attack.final_rate ** (step / attack.steps)
        change = -rate / (1 - _BETA1 ** (step + 1)) * self.mean / metric
        return change, rate * self.ratio, metric
