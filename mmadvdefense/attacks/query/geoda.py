"""GeoDA: a decision attack that estimates the boundary's normal (Rahmati et al., CVPR 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ...registry import ATTACKS
from ...validation import check_integer
from .base import DecisionAttack
from .boundary import bisect, noisy_starts
from .low_frequency import LowFrequencies
from .oracle import Oracle

# Queries per iteration in addition to the estimate: for the line search and the bisection.
_OVERHEAD = 25
# Maximum number of queries of the first, smallest estimate.
_FIRST = 80


def query_plan(queries: int, ratio: float) -> list[int]:
    """Number of queries for each estimate of the normal: a geometric series with factor ``ratio^(-2/3)`` (19)."""
    plan: list[int] = []
    for iterations in range(1, max(queries // _OVERHEAD, 1) + 1):
        weights = [ratio ** (-2 * i / 3) for i in range(iterations)]
        left = max(queries - _OVERHEAD * iterations, iterations)
        plan = [max(round(left * weight / sum(weights)), 1) for weight in weights]
        if plan[0] <= _FIRST:
            break
    return plan


@ATTACKS.register_module()
class GeoDA(DecisionAttack):
    """Alternates between estimating the normal at a boundary point and following it from the clean image.

    The normal is the mean of small low-frequency perturbations, each with the sign of the model's decision, accumulated
    over the iterations. The line search along it (L2) or its signs (L-infinity) starts at a distance of ``eps``.

    Args:
        eps: radius of the ball in pixels (0-255).
        queries: the number of queries allowed for each image; the first is the clean image.
        norm: ``'linf'`` or ``'l2'``.
        subspace: number of frequencies along each side of the image.
        ratio: distribution of the queries: the smaller, the more go to later estimates (lambda in the paper).
        sigma: standard deviation of a frequency's coefficient, in pixels.
        tolerance: maximum distance to the boundary at which the normal is estimated (L2, pixels).
        success_threshold: see :class:`~mmadvdefense.attacks.query.base.QueryAttack`.

    Raises:
        ValueError: for an invalid setting.
    """

    def __init__(
        self,
        eps: float,
        queries: int = 4000,
        norm: str = 'linf',
        subspace: int = 75,
        ratio: float = 0.6,
        sigma: float = 0.0002 * PIXEL_MAX,
        tolerance: float = 0.0001 * PIXEL_MAX,
        success_threshold: float = 0.5,
    ):
        super().__init__(eps, queries, success_threshold, norm=norm)
        name = type(self).__name__
        check_integer(name, subspace=subspace)
        if not 0 < ratio <= 1:
            raise UsageError(f'{name}: ratio must be above 0 and at most 1, got {ratio}')
        for setting, value in (('sigma', sigma), ('tolerance', tolerance)):
            if not value > 0:
                raise UsageError(f'{name}: {setting} is in pixels and must be > 0, got {value}')
        self.subspace, self.ratio, self.sigma, self.tolerance = int(subspace), ratio, sigma, tolerance

    def search(self, oracle: Oracle) -> None:
        clean = oracle.clean
        boundary = bisect(oracle, clean, noisy_starts(oracle), oracle.active(), self.tolerance)
        frequencies = LowFrequencies(self.subspace, self.subspace, clean)
        normal = torch.zeros_like(clean)
        for number in query_plan(self.queries, self.ratio):
            normal += self._estimate(oracle, boundary, frequencies, number) / number
            right, wrong, index = self._follow(oracle, boundary, self.ball.steepest(normal))
            boundary = bisect(oracle, right, wrong, index, self.tolerance)

    def _estimate(self, oracle: Oracle, boundary: Tensor, frequencies: LowFrequencies, number: int) -> Tensor:
        """The sum of perturbations that fool the model minus the sum of those that do not (eq. 16)."""
        total = torch.zeros_like(boundary)
        for _ in range(number):
            index = oracle.active()
            if not index:
                break
            like = boundary.new_empty(len(index), 3, *frequencies.size)
            change = frequencies.images(oracle.randomness.select(index).normal_like(like))
            points = (boundary[index] + self.sigma * change).clamp(0, PIXEL_MAX)
            fooled = oracle.decisions(points, index)
            total[index] += change * (fooled.to(change.dtype) * 2 - 1).view(-1, 1, 1, 1)
        return total

    def _follow(self, oracle: Oracle, boundary: Tensor, direction: Tensor) -> tuple[Tensor, Tensor, list[int]]:
        """Go from the clean image along the direction, doubling the distance until the model is fooled.

        Returns:
            Points on either side of the boundary, and the images for which they exist; others keep their boundary
            point.
        """
        clean = oracle.clean
        right, wrong = clean.clone(), boundary.clone()
        radius, reached, missing = self.eps or 1.0, [], oracle.active()
        limit = PIXEL_MAX * (math.sqrt(clean[0].numel()) if self.norm == 'l2' else 1)
        while missing and radius < 2 * limit:
            points = (clean[missing] + radius * direction[missing]).clamp(0, PIXEL_MAX)
            fooled = oracle.decisions(points, missing)
            at = fooled.view(-1, 1, 1, 1)
            wrong[missing] = torch.where(at, points, wrong[missing])
            right[missing] = torch.where(at, right[missing], points)
            answers = fooled.tolist()
            reached += [i for i, hit in zip(missing, answers) if hit]
            active = set(oracle.active())
            missing = [i for i, hit in zip(missing, answers) if not hit and i in active]
            radius *= 2
        return right, wrong, reached
