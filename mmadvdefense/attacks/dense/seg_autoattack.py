"""The standard set of attacks on segmentors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from ...registry import ATTACKS
from ..base import Attack, build_attack
from ..batch import AttackBatch
from ..gradient.strongest import Strongest
from ..source import AttackSource
from .objectives import PixelCrossEntropy, check_pixel_classes
from .sea import SEA

# Steps of a quarter of the budget are about those of both papers (2.55 of 7.65 pixels).
_PGD_STEPS, _PGD_STEP = 100, 0.25
_SEA_STEPS = 300


@ATTACKS.register_module()
class SegAutoAttack(Attack):
    """SegPGD, CosPGD and SEA with each of its losses, with fixed settings; the worst by pixel accuracy is kept.

    For each image, it keeps the part that leaves the fewest pixels right on the source. The worst part on the tested
    model, by accuracy or mIoU, is :class:`~mmadvdefense.attacks.worst_of.EachPart` of it.

    SegPGD and CosPGD take 100 steps of a quarter of the budget, SEA takes 300 steps for each of four losses: 1,400
    gradients an image.

    Args:
        eps: radius of the ball in pixels (0-255).
        norm: ``'linf'`` or ``'l2'``.

    Raises:
        ValueError: when run, for a source that is not a segmentor.
    """

    needs_ball = True
    supports_eot = True
    stochastic = True
    eps: float

    def __init__(self, eps: float, norm: str = 'linf'):
        super().__init__(eps, norm)
        self.attacks = [build_attack(part) for part in self.parts()]

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        check_pixel_classes(type(self).__name__, source.task)

    def parts(self) -> list[dict[str, Any]]:
        """The configs of its attacks."""
        # With eps=0 nothing changes, but the step size must be positive.
        step_size = _PGD_STEP * self.eps or 1.0
        pgd: dict[str, Any] = dict(eps=self.eps, norm=self.norm, steps=_PGD_STEPS, step_size=step_size)
        sea = SEA(self.eps, _SEA_STEPS, norm=self.norm).parts()
        return [dict(type='SegPGD', **pgd), dict(type='CosPGD', **pgd), *sea]

    def perturb(self, batch: AttackBatch) -> Tensor:
        strongest = Strongest(PixelCrossEntropy())
        for attack in self.attacks:
            # Each part runs as it would by itself, and counts its own queries.
            run = replace(batch)
            strongest.offer(attack._inside(attack.perturb(run), run), run)
            batch.absorb(run)
        return strongest.images
