"""Curls & Whey: gradients of a substitute, decisions of the attacked model (Shi et al., CVPR 2019)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Optional

import torch
from torch import Tensor

from ...errors import UsageError
from ...model_spec import ModelSpec
from ...pixels import PIXEL_MAX
from ...registry import ATTACKS
from ...validation import check_integer
from ..balls import BALLS
from ..objectives import CrossEntropyObjective
from ..source import AttackSource
from .base import DecisionAttack
from .oracle import Oracle


@ATTACKS.register_module()
class CurlsWhey(DecisionAttack):
    """Finds an adversarial image along gradients (Curls), then reduces the perturbation (Whey).

    Curls runs in the ball of radius ``eps`` and, if successful, bisects the radius. Whey then halves groups of equal
    perturbation values while the model is still fooled. The result is the smallest perturbation (L2) found inside the
    ball.

    Args:
        eps: radius of the ball in pixels (0-255).
        queries: the number of decision queries allowed for each image.
        step_size: pixels (L-infinity) or length (L2) of one step.
        steps: number of steps of a trajectory.
        noise_std: standard deviation in pixels of the noise at which gradients are taken.
        rounds: number of bisections of the radius.
        squeeze: whether to run the second part (Whey).
        substitute: the model that provides gradients, ``dict(config=..., checkpoint=..., trust=False)``, as in the
            paper, where the attacked model can only be queried. None: the attacked model itself, whose gradients are
            then required and counted as queries in addition to ``queries``.
        options: ``norm``, ``targeted`` and ``success_threshold`` of :class:`QueryAttack`.

    Raises:
        ValueError: for an invalid setting, or a substitute whose classes differ from the attacked model's.
    """

    def __init__(
        self,
        eps: float,
        queries: int = 3000,
        step_size: float = 0.0075 * 255,
        steps: int = 100,
        noise_std: float = 2.0,
        rounds: int = 12,
        squeeze: bool = True,
        substitute: Optional[dict[str, Any]] = None,
        **options: Any,
    ):
        super().__init__(eps, queries, **options)
        name = type(self).__name__
        check_integer(name, steps=steps)
        check_integer(name, at_least=0, rounds=rounds)
        if not step_size > 0:
            raise UsageError(f'{name}: step_size is in pixels (0-255) and must be > 0, got {step_size}')
        if not noise_std >= 0:
            raise UsageError(f'{name}: noise_std is in pixels (0-255) and must be >= 0, got {noise_std}')
        spec = None if substitute is None else ModelSpec.parse(substitute, f'{name}: the substitute')
        self.trajectory = Steps(self.norm, float(step_size), int(steps), float(noise_std))
        self.rounds, self.squeeze = int(rounds), squeeze
        self.access = 'gradients' if substitute is None else 'decisions'
        self._substitute_spec = spec
        self._substitute: Optional[AttackSource] = None

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        source.task.require_class_scores(type(self).__name__, 'use SignFlip or GeoDA, which need decisions only')

    def search(self, oracle: Oracle) -> None:
        clean, tried = oracle.clean, oracle.active()
        small, large = clean.new_zeros(len(clean)), clean.new_full((len(clean),), self.eps)
        radius = large.clone()
        source = self._gradient_source(oracle.batch.source)
        with source.undisturbed():
            curls = Curls(oracle, source, self.trajectory)
            for _ in range(self.rounds + 1):
                if not tried:
                    break
                fooled = curls.run(tried, radius)
                failed = [i for i in tried if i not in fooled]
                small[failed] = radius[failed]
                large[fooled] = self.ball.size(oracle.best[fooled] - clean[fooled]).minimum(radius[fooled])
                radius = (small + large) / 2
                left = set(oracle.affordable())
                tried = [i for i in tried if oracle.found[i] and i in left]
        if self.squeeze:
            self._squeeze(oracle)

    def _squeeze(self, oracle: Oracle) -> None:
        clean = oracle.clean
        largest = int((oracle.best - clean).abs().amax().round())
        for level in (sign * size for size in range(largest, 0, -1) for sign in (1, -1)):
            change = oracle.best - clean
            cells = change.round() == level
            present = cells.flatten(1).any(1).tolist()
            index = [i for i in oracle.affordable() if present[i]]
            if index:
                halved = torch.where(cells[index], change[index] / 2, change[index])
                oracle.decisions(clean[index] + halved, index)

    def _gradient_source(self, attacked: AttackSource) -> AttackSource:
        spec = self._substitute_spec
        if spec is None:
            return attacked
        if self._substitute is None:
            model = spec.load().to(attacked.device).eval()
            order = attacked.channel_order
            self._substitute = AttackSource(model, channel_order=order, trained_on=spec.image_order())
        ours, theirs = attacked.task.num_classes, self._substitute.task.num_classes
        if ours != theirs:
            raise UsageError(f'the substitute predicts {theirs} classes, the attacked model {ours}; both must agree')
        return self._substitute


# Number of bisection steps from a new adversarial image towards the clean one.
_HALVINGS = 3


@dataclass(frozen=True)
class Steps:
    """The settings of both trajectories.

    Attributes:
        norm: ``'linf'`` or ``'l2'``.
        size: pixels (L-infinity) or length (L2) of one step.
        number: number of steps.
        noise_std: standard deviation in pixels of the noise at which gradients are taken.
    """

    norm: str
    size: float
    number: int
    noise_std: float


class Curls:
    """Searches for images that fool the oracle's model, along gradients of ``source``.

    One trajectory ascends the loss; the other descends while the loss decreases and then ascends. Each step queries
    both. Gradients are evaluated one step ahead, in the mean direction of earlier successful perturbations.

    Args:
        oracle: keeps the best images and counts queries, including gradients of the same model.
        source: the model that provides gradients.
        steps: settings of both trajectories.
    """

    def __init__(self, oracle: Oracle, source: AttackSource, steps: Steps):
        self.oracle = oracle
        self.source = source
        self.steps = steps
        self._guide = torch.zeros_like(oracle.clean)
        self._objective = CrossEntropyObjective()

    def run(self, index: list[int], radius: Tensor) -> list[int]:
        """Run both trajectories for some images until they fool the model; return those that do.

        Args:
            index: their positions in the batch.
            radius: ``(N,)``, radius of the ball around each image, in pixels.
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
        """Steepest steps and losses near the current points of both trajectories."""
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
        return BALLS[self.steps.norm](radius[index]).project(images, self.oracle.clean[index])

    def _ask(self, index: list[int], points: Tensor) -> list[int]:
        """Return the images that fool the model at these points; for them, query points nearer to the clean one."""
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
    """The trajectory that descends first, then returns to the lowest loss and ascends from there.

    Attributes:
        points: ``(N, 3, H, W)``, the current points.
    """

    def __init__(self, clean: Tensor):
        self.points = clean.clone()
        self._descends = torch.ones(len(clean), dtype=torch.bool, device=clean.device)
        self._lowest = clean.new_full((len(clean),), torch.inf)
        self._start, self._slope = clean.clone(), torch.zeros_like(clean)

    def turn(self, index: list[int], slope: Tensor, loss: Tensor) -> tuple[Tensor, Tensor]:
        """The starting point and direction of the next step, given the steepest step and the loss at the current
        points.
        """
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
    """Scale each perturbation to a root mean square of 1; zero stays zero."""
    size = change.square().mean((1, 2, 3), keepdim=True).sqrt()
    return change / size.clamp(min=torch.finfo(change.dtype).tiny)
