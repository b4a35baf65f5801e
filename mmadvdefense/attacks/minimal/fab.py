"""Fast adaptive boundary attack: small perturbations, by projections onto the linearised boundary."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ...registry import ATTACKS
from ...validation import check_integer
from ..base import Attack
from ..batch import AttackBatch
from ..criteria import is_misclassified
from ..ensemble import EnsembleSource
from ..source import AttackSource
from ..targets import top_wrong_targets
from .base import ActiveImages, class_scores


@ATTACKS.register_module()
class FAB(Attack):
    """The nearest misclassified image found by FAB-T, the fast adaptive boundary attack in its targeted form (Croce and
    Hein, ICML 2020, algorithm 1; AutoAttack, ICML 2020).

    For each of the most likely wrong classes, let ``d`` be the shortest step, inside the pixel range, from x to the
    boundary between this class and the true one, linearised at x, and ``d_c`` that from the clean image ``x_c``. With
    ``alpha = min(|d| / (|d| + |d_c|), alpha_max)``,

    ``x <- (1 - alpha) (x + eta d) + alpha (x_c + eta d_c)``.

    Wherever the model errs, x is kept if it is the nearest so far, and moves back to ``x_c + beta (x - x_c)``. Any
    wrong prediction counts, whatever the class. There is no random start. Misclassified images, and those for which
    nothing is found, are left unchanged.

    Args:
        eps: radius of the ball in pixels (0-255) into which the result is projected; an image is done once something
            inside the ball is found for one of the classes. None for the minimum over all classes.
        norm: the norm to minimize, ``'linf'`` or ``'l2'``.
        steps: number of steps for each class; each costs two queries.
        num_targets: number of wrong classes; all of them if there are fewer.
        alpha_max: the largest share of the step that starts from the clean image.
        eta: how far beyond the boundary steps go, relative to their length.
        beta: share of the perturbation that is kept once the model errs.

    Raises:
        ValueError: for a setting out of range; when run, for a source that is not a classifier.
    """

    def __init__(
        self,
        eps: Optional[float] = None,
        norm: str = 'linf',
        steps: int = 100,
        num_targets: int = 9,
        alpha_max: float = 0.1,
        eta: float = 1.05,
        beta: float = 0.9,
    ):
        super().__init__(eps, norm)
        check_integer('FAB', steps=steps, num_targets=num_targets)
        for what, value in dict(alpha_max=alpha_max, beta=beta).items():
            if not 0 <= value <= 1:
                raise UsageError(f'FAB: {what} is a share in [0, 1], got {value}')
        if not eta >= 1:
            raise UsageError(f'FAB: eta must be >= 1, or steps end before the boundary, got {eta}')
        self.steps = int(steps)
        self.num_targets = int(num_targets)
        self.alpha_max, self.eta, self.beta = alpha_max, eta, beta

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        if not source.task.one_label:
            raise UsageError(
                f'FAB needs one predicted class per image, which no model for {source.task.name} has; use '
                'DeepFool or CarliniWagner for small perturbations, or a gradient attack such as APGD'
            )
        if isinstance(source, EnsembleSource) and source.combine == 'losses':
            raise UsageError("FAB needs class scores, which an ensemble has with combine='logits' only")

    def details(self) -> list[str]:
        return [*super().details(), f'{self.num_targets} targets']

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial, distance = batch.clean.clone(), batch.clean.new_full((len(batch),), torch.inf)
        enough = -1.0 if self.eps is None else self.eps
        active = ActiveImages(batch)
        logits = class_scores(batch.clean, active.part)[0].squeeze(2)  # refuses a single class
        targets = top_wrong_targets(logits, batch.labels, self.num_targets, batch.source.task.target_classes(logits))
        left = active.keep(~is_misclassified(logits, batch))
        for target in targets:
            if not left:
                break
            at = active.at
            nearest, size = self._approach(active.part, target[at])
            nearer = size < distance[at]
            adversarial[at] = nearest.where(nearer.view(-1, 1, 1, 1), adversarial[at])
            distance[at] = size.where(nearer, distance[at])
            left = active.keep(distance[at] > enough)
        active.close()
        return adversarial

    def _approach(self, batch: AttackBatch, target: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest misclassified image on the way to a class, and its distance, ``(N,)``; infinite without one."""
        clean = images = nearest = batch.clean
        shortest = clean.new_full((len(batch),), torch.inf)
        for _ in range(self.steps):
            gap, normal = self._boundary(images, batch, target)
            points = torch.cat([images, clean])
            missing = -gap.repeat(2) - (normal.repeat(2, 1, 1, 1) * (points - images.repeat(2, 1, 1, 1))).sum((1, 2, 3))
            to_boundary, from_clean = step_to_plane(points, normal.repeat(2, 1, 1, 1), missing, self.norm).chunk(2)
            own, other = self.ball.size(to_boundary), self.ball.size(from_clean)
            share = (own / (own + other).clamp(min=_LEAST)).clamp(max=self.alpha_max).view(-1, 1, 1, 1)
            ahead, aside = images + self.eta * to_boundary, clean + self.eta * from_clean
            # Exact where both are equal, unlike the sum of two shares.
            moved = (ahead + share * (aside - ahead)).clamp(0, PIXEL_MAX)
            wrong = is_misclassified(batch.logits(batch.pixels(moved)), batch)
            size = self.ball.size(moved - clean)
            nearer = wrong & (size < shortest)
            nearest = moved.where(nearer.view(-1, 1, 1, 1), nearest)
            shortest = size.where(nearer, shortest)
            images = (clean + self.beta * (moved - clean)).where(wrong.view(-1, 1, 1, 1), moved)
        return nearest, shortest

    @staticmethod
    def _boundary(images: Tensor, batch: AttackBatch, target: Tensor) -> tuple[Tensor, Tensor]:
        """The target's score minus that of the true class, ``(N,)``, and its gradient, ``(N, 3, H, W)``."""
        images = images.detach().requires_grad_()
        with torch.enable_grad():
            logits = batch.logits(batch.pixels(images))
            own, other = (logits.gather(1, label.unsqueeze(1)).squeeze(1) for label in (batch.labels, target))
            (normal,) = torch.autograd.grad((other - own).sum(), images)
        return (other - own).detach(), normal


# Pixels; two steps of no length are of equal length.
_LEAST = 1e-6


def step_to_plane(points: Tensor, normal: Tensor, missing: Tensor, norm: str) -> Tensor:
    """The shortest step ``d`` inside the pixel range with ``<normal, d> = missing`` (section 3.1, equation 6).

    In the direction of ``missing * normal``, each value moves by ``min(r s, room)``: ``room`` is how far it may go,
    ``s`` is 1 (L-infinity; 0 where the normal is 0) or ``|normal|`` (L2), and ``r`` is found exactly, from the sorted
    ``room / s`` at which one value after another meets the end of its range.

    Args:
        points: ``(N, 3, H, W)`` pixels 0-255.
        normal: ``(N, 3, H, W)``.
        missing: ``(N,)``.
        norm: ``'linf'`` or ``'l2'``.

    Returns:
        ``(N, 3, H, W)``. If the plane lies outside the pixel range, the step that comes nearest to it; zeros where the
        normal is zero, or where something is not finite.
    """
    start, way = points.flatten(1), normal.flatten(1) * missing.sign().unsqueeze(1)
    unit = way.abs().amax(1, keepdim=True).clamp(min=torch.finfo(way.dtype).tiny)
    weight, needed = way.abs() / unit, missing.abs() / unit.squeeze(1)
    room = torch.where(way > 0, PIXEL_MAX - start, start)
    speed = weight if norm == 'l2' else (weight > 0).to(weight)
    meets, order = torch.where(speed > 0, room / speed, torch.inf).sort(1)
    gains, slopes = ((weight * it).gather(1, order) for it in (room, speed))
    # What the values before each one have contributed by then, and how fast it and those after it contribute.
    before, rate = gains.cumsum(1) - gains, slopes.flip(1).cumsum(1).flip(1)
    progress = torch.where(meets.isfinite(), before + meets * rate, torch.inf)
    segment = (progress < needed.unsqueeze(1)).sum(1, keepdim=True).clamp(max=start.shape[1] - 1)
    reach = (needed.unsqueeze(1) - before.gather(1, segment)) / rate.gather(1, segment)
    step = torch.where(speed > 0, torch.minimum(reach * speed, room), 0) * way.sign()
    return step.where(step.isfinite(), 0).view_as(points)
