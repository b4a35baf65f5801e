"""Curls: two gradient trajectories of which one descends first (Shi et al., CVPR 2019, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..pixels import PIXEL_MAX
from .balls import BALLS
from .objectives import CrossEntropyObjective
from .oracle import Oracle
from .source import AttackSource

# Halvings of the way from the clean image to a new adversarial one.
_HALVINGS = 3


@dataclass(frozen=True)
class Steps:
    """How both trajectories go.

    Attributes:
        norm: ``'linf'`` or ``'l2'``.
        size: pixels (L-infinity) or length (L2) of one step.
        number: of steps.
        noise_std: standard deviation in pixels of the noise at which gradients are taken.
    """

    norm: str
    size: float
    number: int
    noise_std: float


class Curls:
    """Looks for images that fool the model that ``oracle`` asks, along gradients of ``source``.

    One trajectory climbs the loss, the other descends as long as it falls and then climbs. Each step asks about both.
    Gradients are taken a step towards the mean of the changes that have fooled the model before.

    Args:
        oracle: keeps what was found; queries are counted there, gradients too if they are of the same model.
        source: whose gradients.
        steps: how both trajectories go.
    """

    def __init__(self, oracle: Oracle, source: AttackSource, steps: Steps):
        self.oracle = oracle
        self.source = source
        self.steps = steps
        self._guide = torch.zeros_like(oracle.clean)
        self._objective = CrossEntropyObjective()

    def run(self, index: list[int], radius: Tensor) -> list[int]:
        """Both trajectories of some images until an image fools the model; returns those that do.

        Args:
            index: their positions in the batch.
            radius: ``(N,)``, of the ball around each image, pixels.
        """
        clean, solved = self.oracle.clean, []
        climbing, curling = clean.clone(), _Curl(clean)
        for _ in range(self.steps.number):
            index = self._affordable(index)
            if not index:
                break
            ways = (climbing[index], curling.points[index])
            slopes, losses = self._slopes(index, ways)
            climbing[index] = self._within(ways[0] + self.steps.size * slopes[0], index, radius)
            start, slope = curling.turn(index, slopes[1], losses[1])
            curling.points[index] = self._within(start + self.steps.size * slope, index, radius)
            fooled = self._ask(index, climbing)
            fooled += self._ask([i for i in index if i not in fooled], curling.points)
            solved += fooled
            index = [i for i in index if i not in fooled]
        return solved

    def _affordable(self, index: list[int]) -> list[int]:
        left = set(self.oracle.affordable())
        return [i for i in index if i in left]

    def _slopes(self, index: list[int], ways: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Steepest steps and losses near the points of both trajectories."""
        batch, draw = self.oracle.batch, self.oracle.randomness.select(index)
        towards = self.steps.size * _unit_rms(self._guide[index])
        points = torch.cat([way + self.steps.noise_std * draw.normal_like(way) + towards for way in ways])
        part = replace(batch.select(index * 2), source=self.source)
        points = points.clamp(0, PIXEL_MAX).requires_grad_()
        with torch.enable_grad():
            losses = self._objective.values(part.pixels(points), part)
            (gradient,) = torch.autograd.grad(losses.sum(), points)
        if self.source is batch.source:
            batch.queries[index] += 2
        batch.nonfinite.index_add_(0, torch.tensor(index * 2, device=batch.clean.device), part.nonfinite)
        return self.oracle.ball.steepest(gradient).chunk(2), losses.detach().chunk(2)

    def _within(self, images: Tensor, index: list[int], radius: Tensor) -> Tensor:
        # One radius an image, in the shape in which each ball compares it.
        linf = self.steps.norm == 'linf'
        ball = BALLS[self.steps.norm](radius[index].view(-1, 1, 1, 1) if linf else radius[index])
        return ball.project(images, self.oracle.clean[index])

    def _ask(self, index: list[int], points: Tensor) -> list[int]:
        """Which images fool the model there; these are also asked about half of the way, a quarter and so on."""
        index = self._affordable(index)
        if not index:
            return []
        hits = self.oracle.decisions(points[index], index).tolist()
        fooled = [i for i, hit in zip(index, hits) if hit]
        self._guide[fooled] += points[fooled] - self.oracle.clean[fooled]
        self._halve(fooled, points)
        return fooled

    def _halve(self, index: list[int], points: Tensor) -> None:
        clean = self.oracle.clean
        right, wrong = clean.clone(), points.clone()
        for _ in range(_HALVINGS):
            index = self._affordable(index)
            if not index:
                break
            middle = (right[index] + wrong[index]) / 2
            fooled = self.oracle.decisions(middle, index).view(-1, 1, 1, 1)
            self._guide[index] += (middle - clean[index]) * fooled
            wrong[index] = torch.where(fooled, middle, wrong[index])
            right[index] = torch.where(fooled, right[index], middle)


class _Curl:
    """The trajectory that descends first: back to where the loss was lowest, and up from there.

    Attributes:
        points: ``(N, 3, H, W)``, where each image is.
    """

    def __init__(self, clean: Tensor):
        self.points = clean.clone()
        self._descends = torch.ones(len(clean), dtype=torch.bool, device=clean.device)
        self._lowest = clean.new_full((len(clean),), torch.inf)
        self._start, self._slope = clean.clone(), torch.zeros_like(clean)

    def turn(self, index: list[int], slope: Tensor, loss: Tensor) -> tuple[Tensor, Tensor]:
        """Where the next step begins and where it goes, from the steepest step and the loss at the present points."""
        points, descended = self.points[index], self._descends[index]
        falls = descended & (loss < self._lowest[index])
        at, back = falls.view(-1, 1, 1, 1), (descended & ~falls).view(-1, 1, 1, 1)
        self._start[index] = torch.where(at, points, self._start[index])
        self._slope[index] = torch.where(at, slope, self._slope[index])
        self._lowest[index] = torch.where(falls, loss, self._lowest[index])
        self._descends[index] = falls
        start = torch.where(back, self._start[index], points)
        return start, torch.where(at, -slope, torch.where(back, self._slope[index], slope))


def _unit_rms(change: Tensor) -> Tensor:
    """Of root mean square 1 over an image; 0 where there is no change."""
    size = change.square().mean((1, 2, 3), keepdim=True).sqrt()
    return change / size.clamp(min=torch.finfo(change.dtype).tiny)
