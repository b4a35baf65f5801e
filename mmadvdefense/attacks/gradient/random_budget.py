"""A gradient attack that gives every image a budget of its own."""

from __future__ import annotations

import copy
from typing import Optional, Sequence, Union

from torch import Tensor

from ...errors import UsageError
from ...randomness import Randomness
from ...registry import ATTACKS, type_name
from ..balls import BALLS, Ball
from ..base import Attack, build_attack
from ..batch import AttackBatch
from ..source import AttackSource
from .loop import GradientAttack

# Divides by a budget of 0; what comes of it is multiplied by the budget.
_TINY = 1e-6


class ScaledBall(Ball):
    """A ball of another radius for each image: the unit ball of a norm, stretched.

    Args:
        norm: a key of ``BALLS``.
        radius: pixels, ``(N, 1, 1, 1)``, or one number for all images.
        scale_steps: whether a step of size 1 is as long as the radius, and not one pixel.
    """

    def __init__(self, norm: str, radius: Union[Tensor, float], scale_steps: bool):
        super().__init__(radius)
        self._unit = BALLS[norm](1.0)
        self._scale_steps = scale_steps

    def _project_delta(self, delta: Tensor) -> Tensor:
        divisor = self.eps.clamp(min=_TINY) if isinstance(self.eps, Tensor) else max(self.eps, _TINY)
        return self._unit._project_delta(delta / divisor) * self.eps

    def random_delta(self, clean: Tensor, randomness: Randomness) -> Tensor:
        return self._unit.random_delta(clean, randomness) * self.eps

    def steepest(self, gradient: Tensor) -> Tensor:
        direction = self._unit.steepest(gradient)
        return direction * self.eps if self._scale_steps else direction

    def size(self, delta: Tensor) -> Tensor:
        return self._unit.size(delta)


@ATTACKS.register_module()
class RandomBudget(Attack):
    """Runs a gradient attack with an integer of pixels as the budget of each image, drawn anew for each, as HGD's
    training images are made (Liao et al., CVPR 2018, section 4.1).

    Args:
        attack: config of the attack, without ``eps`` and ``step_size``.
        eps: smallest and largest budget in pixels (0-255), both included; an image with a budget of 0 stays clean.
        step_size: pixels, or ``'eps/steps'``.
        relative_step: length of a step as a share of the image's budget, in place of ``step_size``; above 1/steps the
            attack can turn round at the edge of its ball, as Align's training attack does with 0.0175/0.031.

    Raises:
        ValueError: for a range that is none, or an attack that is not of the gradient attacks' one loop.
    """

    def __init__(
        self,
        attack: dict,
        eps: Sequence[int],
        step_size: Union[float, str] = 'eps/steps',
        relative_step: Optional[float] = None,
    ):
        given = sorted({'eps', 'step_size', 'step_sizes'} & attack.keys())
        if given:
            raise UsageError(f'RandomBudget: {", ".join(given)} of the attack is what it draws; leave it out there')
        low, high = eps if isinstance(eps, (list, tuple)) and len(eps) == 2 else (None, None)
        if low is None or not 0 <= low < high or int(low) != low or int(high) != high:
            raise UsageError(f'RandomBudget: eps is a range of whole pixels such as (1, 16), got {eps!r}')
        self._scale_steps = step_size == 'eps/steps'
        if isinstance(step_size, str) and not self._scale_steps:
            raise UsageError(f"RandomBudget: step_size is in pixels (0-255) or 'eps/steps', got {step_size!r}")
        if relative_step is not None and not (self._scale_steps and relative_step > 0):
            raise UsageError(f'RandomBudget: relative_step={relative_step} is a positive share, without a step_size')
        # In units of the budget, or pixels for steps that do not grow with it.
        step = (relative_step or 1 / (attack.get('steps') or 1)) if self._scale_steps else step_size
        self.attack = build_attack({**attack, 'eps': 1.0, 'step_size': step})
        if not (isinstance(self.attack, GradientAttack) and type(self.attack).perturb is GradientAttack.perturb):
            raise UsageError(
                f'RandomBudget wraps gradient attacks such as BIM and PGD, not {type_name(attack["type"])}'
            )
        super().__init__(high, self.attack.norm, self.attack.targeted)
        self.low, self.high = int(low), int(high)
        self.supports_eot = self.attack.supports_eot
        self.stochastic = True

    @property
    def needs_labels(self) -> bool:
        return self.attack.needs_labels

    def check_source(self, source: AttackSource) -> None:
        self.attack.check_source(source)

    def describe(self) -> str:
        largest = copy.copy(self.attack)
        largest.eps = self.eps
        return f'{largest.describe()}, budgets {self.low}-{self.high}'

    def choose_targets(self, batch: AttackBatch) -> Optional[Tensor]:
        return self.attack.choose_targets(batch)

    def draw(self, batch: AttackBatch) -> Tensor:
        """The budget of each image, ``(N, 1, 1, 1)``."""
        draws = batch.randomness.derive('budget').uniform_like(batch.clean.new_zeros(len(batch), 1, 1, 1))
        return self.low + (draws * (self.high - self.low + 1)).floor()

    def perturb(self, batch: AttackBatch) -> Tensor:
        budgets = self.draw(batch)
        if batch.layout.is_uniform:
            return self._within(budgets, batch)
        # Random starts of images of different sizes are drawn one by one, in a ball that has one radius for all.
        adversarial = batch.clean.clone()
        for budget in budgets.unique().tolist():
            index = (budgets.flatten() == budget).nonzero().flatten().tolist()
            part = batch.select(index).cropped()
            height, width = part.clean.shape[-2:]
            adversarial[index, :, :height, :width] = self._within(budget, part)
            batch.merge(part, index)
        return adversarial

    def _within(self, budgets: Union[Tensor, float], batch: AttackBatch) -> Tensor:
        attack = copy.copy(self.attack)
        attack.ball = ScaledBall(self.norm, budgets, self._scale_steps)
        return attack.perturb(batch)
