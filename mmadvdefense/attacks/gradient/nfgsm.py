"""N-FGSM: FGSM from a point far outside the budget, without a projection back into it."""

from __future__ import annotations

from typing import Any, Optional

from torch import Tensor

from ...errors import UsageError
from ...randomness import Randomness
from ...registry import ATTACKS
from ..balls import BALLS
from .loop import GradientAttack


@ATTACKS.register_module()
class NFGSM(GradientAttack):
    """Uniform noise of ``k * eps``, then one step of ``alpha``, and no projection onto ``eps`` (de Jorge et al., "Make
    Some Noise: Reliable and Efficient Single-Step Adversarial Training", NeurIPS 2022, algorithm 1).

    A training attack: noise that is larger than the step prevents the catastrophic overfitting of FGSM. Since it is not
    projected, the radius of its ball, :attr:`eps` once it is built, is ``k * eps + alpha``, three times the budget by
    default. It is therefore no attack of ``eps`` and not to be used in a test at that budget. Unlike in the paper, the
    gradient is taken after the noisy image has been clamped to the pixel range.

    Args:
        eps: the budget to train for, in pixels (0-255).
        k: size of the noise in units of ``eps``; with L-infinity uniform in [-k eps, k eps], with L2 in that ball.
        alpha: size of the step in pixels; ``eps`` by default.
        options: of :class:`GradientAttack`, without steps and starts.

    Raises:
        ValueError: for a negative ``eps`` or ``k``, or an ``alpha`` that is not positive.
    """

    stochastic = True
    lengths = ('noise',)

    def __init__(self, eps: float, k: float = 2.0, alpha: Optional[float] = None, norm: str = 'linf', **options: Any):
        step = eps if alpha is None else alpha
        if eps is None or not (eps >= 0 and k >= 0 and (step > 0 or not eps)):
            raise UsageError(f'NFGSM: eps and k must be >= 0 and alpha > 0, got eps={eps}, k={k}, alpha={alpha}')
        # Without a budget there is neither noise nor step, but the size of a step must be positive.
        super().__init__(k * eps + step if eps else 0.0, step or 1.0, steps=1, norm=norm, random_start=None, **options)
        self.noise = k * eps

    def details(self) -> list[str]:
        return [*super().details(), f'noise {self.noise:g} and step {self.step_size:g}, not projected']

    def start(self, clean: Tensor, randomness: Randomness) -> Tensor:
        return clean + BALLS[self.norm](self.noise).random_delta(clean, randomness)
