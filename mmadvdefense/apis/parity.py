"""Whether an exported file computes what the module does that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError

# One of 255 steps of a pixel.
LIMIT = 1.0


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from its module.

    Attributes:
        shapes: of the batches that both were given.
        difference: the largest of all outputs, in pixels (0-255) or class scores.
        decisions: number of decisions, the classes of images or pixels; 0 for a generator.
        changed: how many of these differ.
    """

    shapes: tuple[tuple[int, ...], ...]
    difference: float
    decisions: int
    changed: int

    def __str__(self) -> str:
        sizes = ', '.join('x'.join(map(str, shape)) for shape in self.shapes)
        if not self.decisions:
            return f'largest difference {self.difference:.2g} pixels (0-255) at {sizes}'
        same = self.decisions - self.changed
        return f'{same} of {self.decisions} decisions the same, scores within {self.difference:.2g} at {sizes}'


def compare_outputs(
    module: nn.Module, run: Callable[[Tensor], Tensor], shapes: Sequence[Sequence[int]], decides: bool
) -> Parity:
    """Compare on smooth noise in 0-255.

    Args:
        module: what was exported.
        run: of :func:`~mmadvdefense.apis.deployment.load_exported`.
        shapes: of the batches, ``(N, H, W)``.
        decides: whether outputs are class scores along the second axis.
    """
    difference, decisions, changed = 0.0, 0, 0
    for index, (number, height, width) in enumerate(shapes):
        generator = torch.Generator().manual_seed(index)
        coarse = torch.rand(number, 3, max(height // 4, 1), max(width // 4, 1), generator=generator) * 255
        images = F.interpolate(coarse, (height, width), mode='bilinear')
        with torch.no_grad():
            expected, found = module(images), run(images)
        if expected.shape != found.shape:
            raise UsageError(
                f'the exported file returns {tuple(found.shape)} for images {tuple(images.shape)}, and the module '
                f'{tuple(expected.shape)}: it holds for one size alone, give that as --size H W'
            )
        difference = max(difference, (expected - found).abs().max().item())
        if decides:
            decisions += expected.argmax(1).numel()
            changed += int((expected.argmax(1) != found.argmax(1)).sum())
    return Parity(tuple(tuple(shape) for shape in shapes), difference, decisions, changed)


def check_outputs(parity: Parity) -> None:
    """Raise a ``UsageError`` for pixels further apart than 1 in 0-255, or a decision that is not the same."""
    if parity.changed or (not parity.decisions and parity.difference > LIMIT):
        raise UsageError(f'the exported file does not compute what the module does: {parity}')
