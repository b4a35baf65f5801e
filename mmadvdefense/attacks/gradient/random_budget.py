"""A gradient attack with a random budget for each image."""

from __future__ import annotations

import copy
from typing import Any, Optional, Sequence, Union

from torch import Tensor

from ...errors import UsageError
from ...registry import ATTACKS, type_name
from ..balls import BALLS
from ..base import Attack, build_attack
from ..batch import AttackBatch
from ..source import AttackSource
from .loop import GradientAttack


@ATTACKS.register_module()
class RandomBudget(Attack):
    """Runs a gradient attack with a random budget for each image: integers, as for HGD's training images (Liao et al.,
    CVPR 2018, section 4.1), or any number in the range.

    Args:
        attack: config of the attack, without ``eps`` and ``step_size``.
        eps: smallest and largest budget in pixels (0-255), inclusive; an image with a budget of 0 stays clean.
        integer: draw integers only. Otherwise all numbers in the range are possible, so a purifier also sees budgets
            between 0 and 1 pixel.
        power: how densely budgets lie near the smallest one: a draw from [0, 1) is raised to this power before it is
            stretched over the range. 1 is uniform; with 2, half of the budgets are in the lowest quarter.
        step_size: pixels, or ``'eps/steps'``.
        relative_step: step size as a share of the image's budget, instead of ``step_size``; above 1/steps the attack
            can reach the edge of its ball before the last step, as Align's training attack does with 0.0175/0.031.

    Raises:
        ValueError: for an invalid range, or an attack that is not a :class:`GradientAttack`.
    """

    eps: float

    def __init__(
        self,
        attack: dict[str, Any],
        eps: Sequence[float],
        step_size: Union[float, str] = 'eps/steps',
        relative_step: Optional[float] = None,
        integer: bool = True,
        power: float = 1.0,
    ):
        given = sorted({'eps', 'step_size', 'step_sizes'} & attack.keys())
        if given:
            raise UsageError(f'RandomBudget: it sets {", ".join(given)} of the attack itself; omit it there')
        if not (isinstance(eps, (list, tuple)) and len(eps) == 2 and 0 <= eps[0] < eps[1]):
            raise UsageError(f'RandomBudget: eps must be a range such as (1, 16), got {eps!r}')
        if integer and any(bound % 1 for bound in eps):
            raise UsageError(f'RandomBudget: eps={eps!r} is not a range of integers; set integer=False to allow others')
        if not power > 0:
            raise UsageError(f'RandomBudget: power must be positive (1 makes budgets uniform), got {power!r}')
        low, high = eps
        self._scale_steps = step_size == 'eps/steps'
        if isinstance(step_size, str) and not self._scale_steps:
            raise UsageError(f"RandomBudget: step_size must be in pixels (0-255) or 'eps/steps', got {step_size!r}")
        if relative_step is not None and not (self._scale_steps and relative_step > 0):
            raise UsageError(
                f'RandomBudget: relative_step must be positive and excludes step_size, got {relative_step}'
            )
        # In units of the budget, or in pixels if step sizes are absolute.
        step = (relative_step or 1 / (attack.get('steps') or 1)) if self._scale_steps else step_size
        built = build_attack({**attack, 'eps': 1.0, 'step_size': step})
        if not (isinstance(built, GradientAttack) and type(built).perturb is GradientAttack.perturb):
            raise UsageError(
                f'RandomBudget wraps gradient attacks such as BIM and PGD, not {type_name(attack["type"])}'
            )
        self.attack = built
        super().__init__(high, built.norm, built.targeted)
        self.low, self.high, self.integer = float(low), float(high), integer
        self.power = float(power)
        self.supports_eot = self.attack.supports_eot
        self.stochastic = True
        self._share = 1.0

    @property
    def needs_labels(self) -> bool:
        return self.attack.needs_labels

    def scaled(self, share: float) -> RandomBudget:
        attack = copy.copy(self)
        attack._share = share * self._share
        attack.eps = share * self.eps
        attack.ball = BALLS[self.norm](attack.eps)
        if not self._scale_steps:
            attack.attack = self.attack.scaled(share)
        return attack

    def check_source(self, source: AttackSource) -> None:
        self.attack.check_source(source)

    def describe(self) -> str:
        largest = copy.copy(self.attack)
        largest.eps = self.high
        return f'{largest.describe()}, budgets {self.low:g}-{self.high:g}'

    def choose_targets(self, batch: AttackBatch) -> Optional[Tensor]:
        return self.attack.choose_targets(batch)

    def draw(self, batch: AttackBatch) -> Tensor:
        """The budget of each image before it is scaled, ``(N, 1, 1, 1)``."""
        draws = batch.randomness.derive('budget').uniform_like(batch.clean.new_zeros(len(batch), 1, 1, 1)) ** self.power
        if self.integer:
            return self.low + (draws * (self.high - self.low + 1)).floor()
        return self.low + draws * (self.high - self.low)

    def perturb(self, batch: AttackBatch) -> Tensor:
        budgets = self._share * self.draw(batch)
        attack = copy.copy(self.attack)
        attack.ball = BALLS[self.norm](budgets)
        if self._scale_steps:
            attack.step_sizes = tuple(size * budgets for size in self.attack.step_sizes)
        return attack.perturb(batch)
