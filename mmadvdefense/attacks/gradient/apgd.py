"""Auto-PGD: ascent whose step size adapts to each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional, Sequence, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...registry import ATTACKS
from ...validation import check_integer
from ..balls import Ball
from ..batch import AttackBatch, RecordingBatch
from ..criteria import is_misclassified
from ..ensemble import views
from ..objectives import Objective
from .loop import GradientAttack, note_progress

# A number for each image, ``(N,)``, the higher the better, from the class scores that the objective computed.
Criterion = Callable[[RecordingBatch], Tensor]

# Shares of the steps (section 3): the first checkpoint, how much shorter each interval is, and the shortest one.
_FIRST, _SHORTER, _SHORTEST = 0.22, 0.03, 0.06


@dataclass
class AscentResult:
    """The result of an :class:`AdaptiveAscent`.

    Attributes:
        images: ``(N, 3, H, W)``, the best iterate of each image.
        values: ``(N,)``, the objective there.
        scores: ``(N,)``, the criterion there; zeros without a criterion.
    """

    images: Tensor
    values: Tensor
    scores: Tensor


class AdaptiveAscent:
    """The loop of Auto-PGD (Croce and Hein, ICML 2020, algorithm 1), for any objective, ball and start.

    A step is ``x_{t+1} = P(x_t + a (P(x_t + eta g_t) - x_t) + (1 - a) (x_t - x_{t-1}))``, with the projection ``P`` and
    the steepest direction ``g_t``. At checkpoints, ever closer to each other, an image halves its ``eta`` and returns
    to its highest iterate if, since the last checkpoint, the objective rose in at most a share ``rho`` of the steps
    (condition 1), or if the highest value did not change, nor ``eta`` at the last checkpoint (condition 2).

    Gradients and values are sums over the views of an ensemble, and over samples of a random defense (EOT).

    Args:
        objective: what is maximized; its values decide on step sizes.
        steps: number of steps; each image is queried once more.
        rho: see condition 1.
        momentum: ``1 - a``, the weight of the previous step.
        first_step: the initial ``eta``, in units of the ball's radius.
        criterion: which iterate is the best: the one with the highest criterion and, among equals, the highest
            objective. Over several models the lowest counts, over samples of a random defense the mean. None for the
            objective's :meth:`~mmadvdefense.attacks.objectives.Objective.rank`. Step sizes do not depend on it.
        eot_samples: number of samples of a random defense; the source's if those are more.
    """

    def __init__(
        self,
        objective: Objective,
        steps: int,
        rho: float = 0.75,
        momentum: float = 0.25,
        first_step: float = 2.0,
        criterion: Optional[Criterion] = None,
        eot_samples: int = 1,
    ):
        self.objective = objective
        self.steps = steps
        self.rho = rho
        self.momentum = momentum
        self.first_step = first_step
        self.criterion = criterion
        self.eot_samples = eot_samples

    def __call__(self, batch: AttackBatch, start: Tensor, ball: Ball) -> AscentResult:
        """Ascend from ``start``, ``(N, 3, H, W)``, inside a ball around ``batch.clean``, of any radius."""
        seen = [RecordingBatch.of(view) for view in views(batch, self.objective)]
        project = ball.projection(batch.clean)
        images = previous = ball.project(start, batch.clean)
        note_progress(0.0, seen)
        value, score, gradient = self._evaluate(images, batch, seen)
        start_value = value
        best = AscentResult(images, value, score)
        highest, top, top_gradient = images, value, gradient
        size = self.first_step * ball.eps * torch.ones_like(images[:, :1, :1, :1])
        rises, checked, halved = torch.zeros_like(value), value, torch.ones_like(value, dtype=torch.bool)
        intervals = dict(checkpoints(self.steps))
        for step in range(1, self.steps + 1):
            ahead = project(images + size * self._direction(gradient, ball, batch))
            kept = self.momentum if step > 1 else 0.0
            moved = images + (1 - kept) * (ahead - images) + kept * (images - previous)
            previous, images = images, project(moved)
            before = value
            note_progress(step / self.steps, (batch, *seen))
            value, score, gradient = self._evaluate(images, batch, seen)
            rises = rises + (value > before)
            best = _better(best, AscentResult(images, value, score))
            higher = value > top
            highest, top_gradient = _choose(higher, images, highest), _choose(higher, gradient, top_gradient)
            top = value.where(higher, top)
            if step in intervals:
                halved = (rises <= self.rho * intervals[step]) | (~halved & (top <= checked))
                size = _choose(halved, size / 2, size)
                images, gradient = _choose(halved, highest, images), _choose(halved, top_gradient, gradient)
                rises, checked = torch.zeros_like(rises), top
        # A choice that an objective made for the batch also applies to the other runs.
        batch._choice = seen[0]._choice
        batch.note_rise(top - start_value if self.objective.rises else None)
        return best

    @staticmethod
    def _direction(gradient: Tensor, ball: Ball, batch: AttackBatch) -> Tensor:
        direction = ball.steepest(gradient)
        return direction if batch.mask is None else direction * batch.mask

    def _evaluate(
        self, images: Tensor, batch: AttackBatch, seen: Sequence[RecordingBatch]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Objective ``(N,)``, criterion ``(N,)`` and gradient ``(N, 3, H, W)`` of images."""
        images = images.detach().requires_grad_()
        value, score, gradient = images.new_zeros(len(images)), images.new_zeros(len(images)), torch.zeros_like(images)
        samples = max(self.eot_samples, batch.source.eot_samples)
        for _ in range(samples):
            scores = []
            for view in seen:
                with torch.enable_grad():
                    own = self.objective.values(batch.pixels(images), view)
                    (slope,) = torch.autograd.grad(own.sum(), images)
                # See GradientAttack: the graph is kept until the next one is there.
                batch.last_value = own
                value, gradient = value + own.detach(), gradient + slope
                rank = self.objective.rank(view) if self.criterion is None else self.criterion(view)
                if rank is not None:
                    scores.append(rank.to(value))
            if scores:
                score = score + torch.stack(scores).amin(0) / samples
        undefined = value.isnan()
        batch.nonfinite += undefined
        # NaN compares false with everything: it would never be replaced.
        return value.where(~undefined, -torch.inf), score, gradient


@ATTACKS.register_module()
class APGD(GradientAttack):
    """Auto-PGD (Croce and Hein, ICML 2020): PGD with momentum, whose step size each image adapts by itself.

    See :class:`AdaptiveAscent`. There is no step size to choose. The result is the iterate with the highest objective;
    for classifiers, an iterate that fools the source (into the target class, if there is one) comes before all that do
    not, as in the authors' code.

    Args:
        eps: radius of the ball in pixels (0-255).
        steps: number of steps; each image is queried once more.
        norm: ``'linf'`` or ``'l2'``.
        objective: the objective to maximize: ``'cross_entropy'``, ``'dlr'``, ... or a config. Objectives that are a
            detector's or another host's own losses are evaluated image by image.
        targeted: False, or how the target class is chosen.
        num_targets: as for :class:`~mmadvdefense.attacks.gradient.loop.GradientAttack`.
        random_start: ``'uniform'`` in the ball, ``'normal'`` around the clean image, or None.
        start_std: standard deviation of the normal start in pixels.
        restarts: number of runs with different random numbers; the strongest image is kept.
        rho: share of the steps in which the objective must rise for a step size to be kept.
        eot_samples: number of samples of a random defense over which gradients are averaged; the source's if those are
            more.

    Raises:
        ValueError: for an invalid value or an unknown name, or for restarts without a random start.
    """

    def __init__(
        self,
        eps: float,
        steps: int = 100,
        norm: str = 'linf',
        objective: Union[str, dict[str, Any]] = 'cross_entropy',
        targeted: Union[bool, str] = False,
        num_targets: int = 1,
        random_start: Optional[str] = 'uniform',
        start_std: float = 0.001 * 255,
        restarts: int = 1,
        rho: float = 0.75,
        eot_samples: int = 1,
    ):
        super().__init__(
            eps,
            # The longest step; with eps=0 it must be positive, too.
            step_size=2 * eps if eps else 1.0,
            steps=steps,
            norm=norm,
            objective=objective,
            targeted=targeted,
            num_targets=num_targets,
            random_start=random_start,
            start_std=start_std,
            restarts=restarts,
        )
        if not 0 < rho <= 1:
            raise UsageError(f'{type(self).__name__}: rho is a share of the steps in (0, 1], got {rho}')
        check_integer(type(self).__name__, eot_samples=eot_samples)
        self.rho = rho
        self.eot_samples = int(eot_samples)

    def criterion(self, batch: AttackBatch) -> Optional[Criterion]:
        """Which iterate is the best; see :class:`AdaptiveAscent`."""
        decides = batch.source.task.one_label and (self.objective.needs_labels or batch.target is not None)
        return fools if decides else None

    def _ascend(self, batch: AttackBatch) -> Tensor:
        ascent = AdaptiveAscent(
            self.objective,
            self.steps,
            self.rho,
            criterion=self.criterion(batch),
            eot_samples=self.eot_samples,
        )
        return ascent(batch, self._start(batch), self.ball).images


def fools(view: RecordingBatch) -> Tensor:
    """1 for images that fool a classifier, else 0, ``(N,)``; 0 if the objective did not ask for class scores."""
    if view.answer is None:
        return view.clean.new_zeros(len(view))
    return is_misclassified(view.answer, view).to(view.clean.dtype)


def checkpoints(steps: int) -> list[tuple[int, int]]:
    """The steps after which step sizes are reconsidered, counted from 1, and the length of the interval before each.

    Section 3, as in the authors' code: the first after 22 % of the steps, each interval by 3 % of them shorter than the
    one before, down to 6 %.
    """
    length, shorter, shortest = (max(int(share * steps), 1) for share in (_FIRST, _SHORTER, _SHORTEST))
    found, at = [], length
    while at <= steps:
        found.append((at, length))
        length = max(length - shorter, shortest)
        at += length
    return found


def _better(best: AscentResult, new: AscentResult) -> AscentResult:
    better = (new.scores > best.scores) | ((new.scores == best.scores) & (new.values > best.values))
    return AscentResult(
        _choose(better, new.images, best.images),
        new.values.where(better, best.values),
        new.scores.where(better, best.scores),
    )


def _choose(flags: Tensor, these: Tensor, others: Tensor) -> Tensor:
    return these.where(flags.view(-1, 1, 1, 1), others)
