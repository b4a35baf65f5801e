"""Where a patch is in each image, and how large it is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ..batch import AttackBatch

# Places by name: the share of the free rows above the patch, and of the free columns to its left.
PLACES: dict[str, tuple[float, float]] = {
    'top_left': (0.0, 0.0),
    'top_right': (0.0, 1.0),
    'bottom_left': (1.0, 0.0),
    'bottom_right': (1.0, 1.0),
    'center': (0.5, 0.5),
}
Place = Union[str, Sequence[float]]
# For sides that are whole numbers but for the rounding of the square root.
_SLACK = 1e-9


@dataclass
class Boxes:
    """One upright rectangle in each image of a batch, in whole pixels.

    Attributes:
        corner: ``(N, 2)`` float, row and column of its first pixel.
        sides: ``(N, 2)`` float, height and width.
    """

    corner: Tensor
    sides: Tensor

    @classmethod
    def whole(cls, images: Tensor) -> Boxes:
        """Images ``(N, 3, H, W)`` from edge to edge."""
        sides = torch.stack([images.new_full((len(images),), side) for side in images.shape[-2:]], 1)
        return cls(torch.zeros_like(sides), sides)

    @property
    def center(self) -> Tensor:
        """``(N, 2)``, in pixels from the corner of the image."""
        return self.corner + self.sides / 2

    def mask(self, height: int, width: int) -> Tensor:
        """Which pixels of images of this size are inside, ``(N, 1, H, W)`` bool."""
        rows, columns = (
            (line >= self.corner[:, axis, None]) & (line < (self.corner + self.sides)[:, axis, None])
            for axis, line in enumerate(torch.arange(side, device=self.corner.device) for side in (height, width))
        )
        return rows[:, None, :, None] & columns[:, None, None, :]


class Placement:
    """Chooses where the patch of each image lies, inside the image and not on its padding.

    Args:
        owner: name of the attack, for messages.
        area: largest share of an image that its patch covers, in (0, 1). Sides are rounded down to whole pixels.
        place: ``'random'``, drawn for each image; a name of :data:`PLACES`; or the share of the free rows above the
            patch and that of the free columns to its left, such as ``(0.5, 0.5)`` for the center.
        shape: ``'square'``, or ``'image'`` for the proportions of the image.

    Raises:
        ValueError: for a value out of range, or an unknown name.
    """

    def __init__(self, owner: str, area: float, place: Place = 'random', shape: str = 'square'):
        if not 0 < area < 1:
            raise UsageError(f'{owner}: area is the share of the image that the patch covers, in (0, 1); got {area}')
        if shape not in ('square', 'image'):
            raise UsageError(f"{owner}: shape must be 'square' or 'image', got {shape!r}")
        self.owner = owner
        self.area = float(area)
        self.shape = shape
        self.random = place == 'random'
        self.name = place.replace('_', ' ') if isinstance(place, str) else f'at {tuple(place)}'
        self._share = (0.0, 0.0) if self.random else _share(owner, place)

    def sides(self, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Height and width of the patch in images of these sizes, ``(N, 2)``, whole numbers on the CPU.

        Raises:
            ValueError: for an image that is too small for a pixel of this area, or too narrow for its square.
        """
        frame = torch.tensor(sizes, dtype=torch.float64)
        length = frame.prod(1, keepdim=True).sqrt().expand(-1, 2) if self.shape == 'square' else frame
        sides = (math.sqrt(self.area) * length + _SLACK).floor()
        misfits = ((sides < 1) | (sides > frame)).any(1)
        if misfits.any():
            index = int(misfits.nonzero()[0])
            size, side = '{}x{}'.format(*sizes[index]), int(sides[index].amin())
            remedy = f"a square of this area has {side} pixels a side; use shape='image' or a smaller area"
            if side < 1:
                remedy = 'this is less than one pixel; use a larger area'
            raise UsageError(
                f'{self.owner}: a patch of {100 * self.area:g} % does not fit into an image of {size}: {remedy}'
            )
        return sides

    def boxes(self, batch: AttackBatch) -> Boxes:
        """The boxes of a batch; the same whenever they are asked for."""
        # Checked and computed in main memory; a non-blocking copy avoids synchronizing with the device.
        sides = self.sides(batch.layout.sizes)
        room = torch.tensor(batch.layout.sizes) - sides
        sides, room = (each.to(batch.clean, non_blocking=True) for each in (sides, room))
        if not self.random:
            above, left = self._share
            return Boxes(torch.stack([above * room[:, 0], left * room[:, 1]], 1).floor(), sides)
        draws = batch.randomness.derive('place').uniform_like(batch.clean.new_empty(len(batch), 2))
        return Boxes(random_corner(draws, room), sides)


def random_corner(draws: Tensor, room: Tensor) -> Tensor:
    """Whole offsets from 0 to ``room`` (inclusive), all equally likely, from uniform draws of the same shape."""
    # A draw just below 1 can be rounded up by the product.
    return (draws * (room.floor() + 1)).floor().minimum(room.floor())


def _share(owner: str, place: Place) -> tuple[float, float]:
    if isinstance(place, str):
        if place not in PLACES:
            raise UsageError(f'{owner}: unknown place {place!r}; known: random, {", ".join(PLACES)}')
        return PLACES[place]
    if len(place) != 2 or not all(0 <= share <= 1 for share in place):
        raise UsageError(f'{owner}: place must be a name, or two shares in [0, 1] such as (0.5, 0.5); got {place!r}')
    return float(place[0]), float(place[1])
