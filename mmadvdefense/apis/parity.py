"""Whether an exported file computes what the module does that it was made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Iterable, Iterator, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError

# One of 255 steps of a pixel.
LIMIT = 1.0
# Share of the decisions that may change behind a generator of reduced precision.
CHANGED_LIMIT = 0.1


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from its module.

    Attributes:
        shapes: of the batches that both were given.
        difference: the largest of all outputs, in pixels (0-255) or class scores.
        decisions: number of decisions, the classes of images or pixels; 0 for a generator.
        changed: how many of these differ.
        mean: the mean difference of all outputs, in the unit of ``difference``; None where rounding alone makes one.
    """

    shapes: tuple[tuple[int, ...], ...]
    difference: float
    decisions: int
    changed: int
    mean: Optional[float] = None

    def __str__(self) -> str:
        sizes = ', '.join('x'.join(map(str, shape)) for shape in self.shapes)
        if not self.decisions:
            mean = '' if self.mean is None else f', mean {self.mean:.2g}'
            return f'largest difference {self.difference:.2g}{mean} pixels (0-255) at {sizes}'
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
    return replace(compare_on(module, run, smooth_noise(shapes), decides), mean=None)


def smooth_noise(shapes: Sequence[Sequence[int]]) -> Iterator[Tensor]:
    """Images ``(N, 3, H, W)`` in 0-255 for each ``(N, H, W)``, the same in every call."""
    for index, (number, height, width) in enumerate(shapes):
        generator = torch.Generator().manual_seed(index)
        coarse = torch.rand(number, 3, max(height // 4, 1), max(width // 4, 1), generator=generator) * 255
        yield F.interpolate(coarse, (height, width), mode='bilinear')


def compare_on(module: nn.Module, run: Callable[[Tensor], Tensor], batches: Iterable[Tensor], decides: bool) -> Parity:
    """Compare on these images, ``(N, 3, H, W)`` each in 0-255; for the rest see :func:`compare_outputs`."""
    differences, shapes, decisions, changed = [], [], 0, 0
    for images in batches:
        with torch.no_grad():
            expected, found = module(images), run(images)
        if expected.shape != found.shape:
            raise UsageError(
                f'the exported file returns {tuple(found.shape)} for images {tuple(images.shape)}, and the module '
                f'{tuple(expected.shape)}: it holds for one size alone, give that as --size H W'
            )
        differences.append((expected - found).abs().flatten())
        shapes.append((len(images), *images.shape[-2:]))
        if decides:
            decisions += expected.argmax(1).numel()
            changed += int((expected.argmax(1) != found.argmax(1)).sum())
    every = torch.cat(differences)
    return Parity(tuple(shapes), every.max().item(), decisions, changed, every.mean().item())


def check_outputs(parity: Parity) -> None:
    """Raise a ``UsageError`` for pixels further apart than 1 in 0-255, or a decision that is not the same."""
    if parity.changed or (not parity.decisions and parity.difference > LIMIT):
        raise UsageError(f'the exported file does not compute what the module does: {parity}')


def check_reduced(parity: Parity, limit: float) -> None:
    """Check what a file of reduced precision computes.

    Args:
        parity: of :func:`compare_on`.
        limit: the largest mean difference of purified images, in pixels (0-255).

    Raises:
        UsageError: beyond it, or if more than a tenth of the decisions changed.
    """
    if parity.decisions:
        fails, allowed = parity.changed > CHANGED_LIMIT * parity.decisions, f'{CHANGED_LIMIT:.0%} of decisions changed'
    else:
        fails, allowed = not (parity.mean or 0.0) <= limit, f'a mean of {limit:g}'
    if fails:
        raise UsageError(f'the precision is too low for this generator: {parity}, and at most {allowed} is allowed')
