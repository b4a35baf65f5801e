"""R+FGSM: FGSM from a random point near the clean image."""

from __future__ import annotations

from typing import Any, Optional

from torch import Tensor

from ...randomness import Randomness
from ...registry import ATTACKS
from .loop import GradientAttack


@ATTACKS.register_module()
class RFGSM(GradientAttack):
    """A random step of ``alpha`` (default ``eps / 2``), then FGSM with ``eps - alpha`` (Tramèr et al., ICLR 2018)."""

    stochastic = True
    lengths = ('alpha',)

    def __init__(self, eps: float, alpha: Optional[float] = None, **options: Any):
        self.alpha = eps / 2 if alpha is None else alpha
        super().__init__(eps, eps - self.alpha if eps else 1.0, steps=1, **options)

    def start(self, clean: Tensor, randomness: Randomness) -> Tensor:
        return clean + self.alpha * self.ball.steepest(randomness.normal_like(clean))
