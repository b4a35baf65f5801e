"""The augmented Lagrangian method with a proximal step, for segmentors and classifiers."""

from __future__ import annotations

import math
from typing import Optional, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...registry import ATTACKS
from ...validation import check_integer
from .base import SUCCESS_THRESHOLD
from .proximal import Constraints, Descent, ProximalAttack, check_settings

# Added to what a pixel lacks, so that a constraint that is only just met counts as an open one.
_TOLERANCE = 1e-4
# Beyond it the norm has long lost all weight, and squares would overflow.
_MAX_RHO = 1e8
_MIN_MU, _TINY = 1e-12, 1e-8


@ATTACKS.register_module()
class ALMAProx(ProximalAttack):
    """The minimum-norm attack in L-infinity of Rony et al. (CVPR 2023), "Proximal Splitting Adversarial Attacks for
    Semantic Segmentation".

    Every pixel i has a constraint ``c_i <= 0``: how far its true class leads, relative to the distance of the best and
    the third best score (a difference of logits ratio). The penalty ``P(c_i, rho_i, mu_i)`` of an augmented Lagrangian
    method (:func:`penalty_slope`) has a multiplier ``mu_i`` of its own for each pixel, a moving average of the slopes,
    and a ``rho_i`` that grows by ``rho_growth`` wherever ``check_steps`` steps have neither misled the pixel nor
    reduced its constraint by ``improvement``. Constraints are scaled by a factor between ``min_scale`` and 1 for each
    image, which falls while it is adversarial; those hardest to meet, up to the share that ``success_threshold``
    permits at the last step, are left out. Steps have RMSprop's metric, in which the proximal step is exact
    (:func:`~mmadvdefense.attacks.minimal.proximal.prox_linf`; the paper approaches it by ternary search), and decay
    from an image's first success on, or from the middle.

    A classifier has one constraint per image. Where there is no third score (towards a target: no fourth, which the
    denominator takes as well), the mean lead on the clean image takes the place of the ratio's denominator.

    Args:
        eps: radius of the ball in pixels (0-255) to which every step is confined; None for the minimum-norm form.
        norm: ``'linf'``.
        steps: number of steps, with one gradient each.
        success_threshold: share of the labelled pixels of an image that must be wrong (targeted: in the target class).
        targeted: False, or how the target class is chosen, as for every attack.
        fill: scale perturbations smaller than ``eps`` up to that size.
        learning_rate: length of the first steps, for pixels in 0-1.
        final_rate: the learning rate at the last step, relative to the first one.
        initial_mu: the multipliers at the first step.
        initial_rho: the penalty parameters at the first step.
        rho_growth: their factor of growth, gamma in the paper.
        check_steps: number of steps between looks at the constraints, M in the paper.
        improvement: what a constraint must have fallen to by then, relative to before, tau in the paper.
        smoothing: of the multipliers and of RMSprop, alpha in the paper.
        min_scale: the smallest scale of the constraints.
        scale_rate: relative change of the scale in each step.

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
        learning_rate: float = 1e-3,
        final_rate: float = 0.1,
        initial_mu: float = 1.0,
        initial_rho: float = 0.01,
        rho_growth: float = 2.0,
        check_steps: int = 10,
        improvement: float = 0.95,
        smoothing: float = 0.8,
        min_scale: float = 0.1,
        scale_rate: float = 0.02,
    ):
        super().__init__(eps, norm, targeted, steps, success_threshold, fill, learning_rate)
        check_integer('ALMAProx', check_steps=check_steps)
        check_settings('ALMAProx', 0, math.inf, initial_mu=initial_mu, initial_rho=initial_rho)
        check_settings('ALMAProx', 0, 1, final_rate=final_rate, improvement=improvement, min_scale=min_scale)
        if not rho_growth >= 1:
            raise UsageError(f'ALMAProx: rho_growth must be a factor >= 1, got {rho_growth}')
        for what, value in dict(smoothing=smoothing, scale_rate=scale_rate).items():
            if not 0 <= value < 1:
                raise UsageError(f'ALMAProx: {what} must be in [0, 1), got {value}')
        self.final_rate = final_rate
        self.initial_mu = initial_mu
        self.initial_rho = initial_rho
        self.rho_growth = rho_growth
        self.check_steps = check_steps
        self.improvement = improvement
        self.smoothing = smoothing
        self.min_scale = min_scale
        self.scale_rate = scale_rate

    def begin(self, constraints: Constraints) -> Descent:
        return _Lagrangian(self, constraints)


def penalty_slope(value: Tensor, rho: Tensor, mu: Tensor) -> Tensor:
    """The derivative in y of the penalty ``mu y + mu rho y^2 + rho^2 y^3 / 6`` for y >= 0 and ``mu y / (1 - rho y)``
    below, with a rho of at least 1 (P2 of Birgin et al., 2005, as in the paper).

    Args:
        value: y, any shape, as the others.
        rho: > 0.
        mu: > 0, the slope at 0.
    """
    above = mu + 2 * mu * rho * value + 0.5 * (rho * value) ** 2
    below = mu / (1 - rho.clamp(min=1) * value.clamp(max=0)) ** 2
    return torch.where(value >= 0, above, below)


class _Lagrangian(Descent):
    """The multipliers of one batch, and RMSprop's mean square of its gradients."""

    def __init__(self, attack: ALMAProx, constraints: Constraints):
        self.attack = attack
        lead = constraints.gap.detach()
        self.mu = torch.full_like(lead, attack.initial_mu)
        self.rho = torch.full_like(lead, attack.initial_rho)
        self.scale = torch.ones_like(lead[:, 0])
        # The middle, for images that are not misled before.
        self.found_at = torch.full_like(self.scale, attack.steps // 2)
        self.met_since = torch.zeros_like(constraints.known)
        self.before = lead
        self.square: Optional[Tensor] = None
        count = constraints.known.sum(1, keepdim=True).clamp(min=1)
        self.mean_lead = (lead.abs() * constraints.known).sum(1, keepdim=True) / count

    def penalty(self, constraints: Constraints, reached: Tensor, step: int) -> Tensor:
        attack = self.attack
        self.met_since |= constraints.met
        if step < attack.steps // 2:
            self.found_at = torch.where(reached, self.found_at.clamp(max=step), self.found_at)
        change = torch.where(reached, 1 / (1 + attack.scale_rate), 1 / (1 - attack.scale_rate))
        self.scale = (self.scale * change).clamp(attack.min_scale, 1)
        value = self.scale.unsqueeze(1) * self._relative(constraints)
        progress = step / max(attack.steps - 1, 1)
        chosen = constraints.easiest(value, progress)
        self._update(value.detach(), chosen, step)
        slope = penalty_slope(value.detach(), self.rho, self.mu) * chosen
        # Its gradient is that of the penalty.
        return (slope * value).sum(1)

    def _relative(self, constraints: Constraints) -> Tensor:
        """What each pixel lacks relative to the spread of its best scores, ``(N, P)``."""
        lack = constraints.gap + _TOLERANCE
        # Towards the third best class, its distance from the best one would be constant: a fourth is needed.
        number = 4 if self.attack.targeted else 3
        if constraints.logits.shape[1] < number:
            return lack / (self.mean_lead + _TINY)
        best = constraints.logits.topk(number, dim=1).values
        behind = best[:, 2:].mean(1)
        # Models with several labels have minus infinity for classes that one of them lacks.
        usable = behind.isfinite()
        spread = torch.where(usable, best[:, 0] - behind.where(usable, 0), self.mean_lead)
        return lack / (spread + _TINY)

    def _update(self, value: Tensor, chosen: Tensor, step: int) -> None:
        attack = self.attack
        if step == 0:
            self.before = value
            return
        if (step + 1) % attack.check_steps == 0:
            improved = ~chosen | (value <= attack.improvement * self.before)
            grown = (self.rho * attack.rho_growth).clamp(max=_MAX_RHO)
            self.rho = self.rho.where(self.met_since | improved, grown)
            self.before = value
            self.met_since = torch.zeros_like(self.met_since)
        slope = penalty_slope(value, self.rho, self.mu) * chosen
        self.mu = self.mu.lerp(slope, 1 - attack.smoothing).clamp(_MIN_MU, 1)

    def move(self, gradient: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        attack = self.attack
        square = (1 - attack.smoothing) * gradient.square()
        self.square = square if self.square is None else attack.smoothing * self.square + square
        metric = (self.square / (1 - attack.smoothing ** (step + 1))).sqrt().clamp(min=_TINY)
        rate = attack.learning_rate * self._decay(step)
        return -rate.view(-1, 1, 1, 1) * gradient / metric, rate, metric

    def _decay(self, step: int) -> Tensor:
        """1 until the first success, then a hyperbola that ends at ``final_rate``, ``(N,)``."""
        if self.attack.final_rate == 1:
            return torch.ones_like(self.found_at)
        left = (self.attack.steps - self.found_at).clamp(min=1)
        half = self.attack.final_rate / (1 - self.attack.final_rate) * left
        return half / ((step - self.found_at).clamp(min=0) + half)
