"""The budget of attacks that replace a part of the image: its share of the image."""

from __future__ import annotations

from typing import ClassVar, Optional

from ..balls import AREA, Ball, PatchBall
from ..base import Attack
from ..batch import AttackBatch
from .placement import Placement


class AreaBudget(Attack):
    """What attacks have in common that change one rectangle of each image, by any amount.

    Attributes:
        placement: where the rectangles are.
    """

    norms: ClassVar[tuple[str, ...]] = (AREA,)
    placement: Placement

    def budget(self) -> str:
        return f'{100 * self.placement.area:g} % of the image'

    def details(self) -> list[str]:
        budget, *rest = super().details()
        return [budget, *([] if self.placement.random else [self.placement.name]), *rest]

    def ball_around(self, batch: AttackBatch) -> Optional[Ball]:
        return PatchBall(region=self.placement.boxes(batch).mask(*batch.clean.shape[-2:]))
