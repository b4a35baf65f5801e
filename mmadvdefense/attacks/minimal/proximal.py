"""Minimum-norm attacks in L-infinity by proximal gradient descent, with one constraint per pixel."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Optional, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ..batch import AttackBatch
from ..objectives import margins
from .base import ActiveImages, MinimumNormAttack, class_scores, is_done

# Halvings of the interval in which the radius is searched for: exact to a millionth of the largest change.
_HALVINGS = 20
# Keeps the number of pixels that may be left out from being one too small for rounding, as in (1 - 0.9) * 100.
_ROUNDING = 1e-4


def prox_linf(delta: Tensor, weight: Tensor, metric: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """``argmin_z weight * ||z||_inf + 1/2 sum_i metric_i (z_i - delta_i)^2`` subject to ``low <= z <= high``.

    For a radius ``||z||_inf = t``, each ``z_i`` is ``delta_i`` clamped to its bounds and to ``[-t, t]``, which leaves
    a convex function of t. Its derivative ``weight - sum metric_i (|delta_i| - t)``, over the values that t clamps, is
    brought to zero by bisection.

    Args:
        delta: ``(N, ...)``.
        weight: ``(N,)``, >= 0.
        metric: like ``delta``, > 0.
        low: lower bounds, <= 0, like ``delta``.
        high: upper bounds, >= 0, like ``delta``.
    """
    inside = torch.minimum(torch.maximum(delta, low), high)
    size, metric = inside.flatten(1).abs(), metric.flatten(1)
    pull = metric * delta.flatten(1).abs()
    least, most = torch.zeros_like(weight), size.amax(1)
    for _ in range(_HALVINGS):
        radius = (least + most) / 2
        at = radius.unsqueeze(1)
        too_small = torch.where(size > at, pull - metric * at, 0).sum(1) > weight
        least, most = radius.where(too_small, least), most.where(too_small, radius)
    radius = most.view(-1, *[1] * (delta.ndim - 1))
    return torch.minimum(torch.maximum(inside, -radius), radius)


@dataclass
class Constraints:
    """What each pixel of a batch lacks; for a classifier the one "pixel" is the image.

    Attributes:
        logits: ``(N, K, P)``, with a gradient.
        gap: ``(N, P)``, with a gradient: how far the true class leads over the best other one or, with a target, how
            far the target lies behind the best other one. Below 0 where the goal is reached.
        known: ``(N, P)`` bool, the pixels that belong to a class.
        missable: ``(N,)``, how many of them may miss the goal.
        most_missable: how many could in an image without ignored pixels.
    """

    logits: Tensor
    gap: Tensor
    known: Tensor
    missable: Tensor
    most_missable: int

    @classmethod
    def at(cls, images: Tensor, batch: AttackBatch, success_threshold: float) -> Constraints:
        """Query images ``(N, 3, H, W)`` in pixels 0-255; ``success_threshold`` is the share of pixels to mislead."""
        logits, labels, known = class_scores(images, batch)
        gap = margins(logits, labels, batch.source.task.ignore_index)
        share = 1 - success_threshold
        missable = (known.sum(1) * share + _ROUNDING).long()
        most_missable = int(known.shape[1] * share + _ROUNDING)
        return cls(logits, -gap if batch.target is None else gap, known, missable, most_missable)

    @property
    def met(self) -> Tensor:
        """Where the goal is reached, ``(N, P)`` bool."""
        return self.known & (self.gap.detach() < 0)

    @property
    def share(self) -> Tensor:
        """The share of the known pixels that reach the goal, ``(N,)``."""
        return self.met.sum(1) / self.known.sum(1).clamp(min=1)

    def easiest(self, value: Tensor, progress: float) -> Tensor:
        """The known pixels without those whose value is largest, as many as may miss the goal: ``(N, P)`` bool.

        Args:
            value: what each pixel lacks, ``(N, P)``.
            progress: the share of the missable pixels to leave out, from 0 to 1.
        """
        number = (self.missable * progress + _ROUNDING).long()
        value = value.detach().where(self.known, -torch.inf)
        largest = value.topk(min(self.most_missable + 1, value.shape[1]), dim=1).values
        return self.known & (value <= largest.gather(1, number.unsqueeze(1)))


class NearestImages:
    """The nearest image of each that reaches the goal; until there is one, the last with the most pixels that do.

    Attributes:
        images: ``(N, 3, H, W)``.
        found: ``(N,)`` bool, whether the goal has been reached.
    """

    def __init__(self, clean: Tensor):
        self.images = clean.clone()
        self._size = clean.new_full((len(clean),), torch.inf)
        self._share = torch.zeros_like(self._size)

    @property
    def found(self) -> Tensor:
        return self._size.isfinite()

    def offer(self, images: Tensor, size: Tensor, share: Tensor, reached: Tensor) -> None:
        """Keep the images that are better than those kept so far.

        Args:
            images: ``(N, 3, H, W)``.
            size: of their perturbations, ``(N,)``.
            share: of the pixels that reach the goal, ``(N,)``.
            reached: whether that is enough, ``(N,)`` bool.
        """
        better = torch.where(reached, size < self._size, ~self.found & (share >= self._share))
        self.images = images.where(better.view(-1, 1, 1, 1), self.images)
        self._size = size.where(better & reached, self._size)
        self._share = share.where(better, self._share)


def check_settings(name: str, above: float, at_most: float, **settings: float) -> None:
    """Raise a ``ValueError`` that begins with ``name`` for a setting outside ``(above, at_most]``."""
    for what, value in settings.items():
        if not above < value <= at_most:
            allowed = f'> {above:g}' if math.isinf(at_most) else f'in ({above:g}, {at_most:g}]'
            raise UsageError(f'{name}: {what} must be {allowed}, got {value}')


class Descent(ABC):
    """The state of one attack on one batch."""

    @abstractmethod
    def penalty(self, constraints: Constraints, reached: Tensor, step: int) -> Tensor:
        """What the step reduces, ``(N,)``, after an update of the multipliers.

        Args:
            constraints: at the images of this step.
            reached: whether each image reaches the goal, ``(N,)`` bool.
            step: counted from 0.
        """

    @abstractmethod
    def move(self, gradient: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The step for the gradient of the penalty, ``(N, 3, H, W)``.

        Returns:
            What to add to the perturbation, the weight of its norm ``(N,)`` and the metric of the proximal step; see
            :func:`prox_linf`.
        """


class ProximalAttack(MinimumNormAttack):
    """Alternates a step on the constraints with a proximal step on the L-infinity norm, and keeps the nearest image.

    Perturbations are measured for pixels in 0-1 inside, as in the papers, so that learning rates are comparable. With
    ``eps``, every step is confined to the ball. An image that reaches the goal as it is stays unchanged; one for which
    the attack fails becomes the iterate with the most pixels that reach the goal.

    Args:
        eps: see :class:`~mmadvdefense.attacks.minimal.base.MinimumNormAttack`, as for the others.
        learning_rate: length of the first steps, for pixels in 0-1.

    Raises:
        ValueError: for a setting out of range, or another norm than ``'linf'``.
    """

    def __init__(
        self,
        eps: Optional[float],
        norm: str,
        targeted: Union[bool, str],
        steps: int,
        success_threshold: float,
        fill: bool,
        learning_rate: float,
    ):
        super().__init__(eps, norm, targeted, steps, success_threshold, fill)
        name = type(self).__name__
        if norm != 'linf':
            raise UsageError(f"{name} minimizes the L-infinity norm: norm must be 'linf', got {norm!r}")
        check_settings(name, 0, math.inf, learning_rate=learning_rate)
        self.learning_rate = learning_rate

    @abstractmethod
    def begin(self, constraints: Constraints) -> Descent:
        """The state before the first step, given the constraints at the clean images."""

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial = batch.clean.clone()
        active = ActiveImages(batch)
        clean = Constraints.at(batch.clean, active.part, self.success_threshold)
        if active.keep(~is_done(clean.met, clean.known, self.success_threshold)):
            adversarial[active.at] = self._search(active.part)
        active.close()
        return self.filled(adversarial, batch.clean)

    def _search(self, batch: AttackBatch) -> Tensor:
        """The nearest images that :attr:`steps` steps from the clean ones find."""
        nearest, delta = NearestImages(batch.clean), torch.zeros_like(batch.clean)
        radius = self.ball.eps / PIXEL_MAX
        low = (-batch.clean / PIXEL_MAX).clamp(min=-radius)
        high = (1 - batch.clean / PIXEL_MAX).clamp(max=radius)
        descent: Optional[Descent] = None
        for step in range(self.steps):
            delta.requires_grad_()
            with torch.enable_grad():
                images = batch.clean + PIXEL_MAX * delta
                constraints = Constraints.at(images, batch, self.success_threshold)
                descent = descent or self.begin(constraints)
                share = constraints.share
                reached = share >= self.success_threshold
                nearest.offer(images.detach(), self.ball.size((images - batch.clean).detach()), share, reached)
                penalty = descent.penalty(constraints, reached, step)
                (gradient,) = torch.autograd.grad(penalty.sum(), delta)
            change, weight, metric = descent.move(gradient, step)
            delta = prox_linf(delta.detach() + change, weight, metric, low, high)
        return nearest.images
