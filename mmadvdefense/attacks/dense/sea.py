"""The Segmentation Ensemble Attack (SEA)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional, Sequence, Union

from torch import Tensor

from ...errors import UsageError
from ...pixels import Pixels
from ...registry import ATTACKS
from ...validation import check_integer
from ..balls import BALLS
from ..base import Attack
from ..batch import AttackBatch, RecordingBatch
from ..gradient.apgd import AdaptiveAscent, AscentResult
from ..objectives import Objective, build_objective
from ..source import AttackSource
from .objectives import PixelCrossEntropy, PixelObjective, check_pixel_classes, pixel_scores

LOSSES = ('masked_cross_entropy', 'balanced_masked_cross_entropy', 'jensen_shannon', 'masked_spherical')
# Section 3.3: the radius in units of eps, and its share of the steps.
_SCHEDULE = ((2.0, 0.3), (1.5, 0.3), (1.0, 0.4))


@ATTACKS.register_module()
class SEA(Attack):
    """APGD with several losses, each from larger to smaller balls; the worst by pixel accuracy of each image is kept.

    Croce, Singh and Hein, ECCV 2024. For each loss, APGD runs in balls of 2, 1.5 and 1 eps for 30, 30 and 40 % of the
    steps. Each ball starts at the projection of the best iterate of the one before, the first at the clean image. The
    best iterate is the one with the fewest right pixels on the source. As in the authors' code, step sizes depend on
    the cross-entropy of all pixels, except with the spherical loss: losses on right pixels alone fall when an attack
    succeeds.

    This is the worst case for pixel accuracy on the source. The worst case on the tested model, for accuracy or for the
    mIoU of a data set, is :class:`EachPart` with ``worst_by='accuracy'`` or ``'miou'``.

    Args:
        eps: radius of the ball in pixels (0-255).
        steps: number of steps for each loss; each image is queried 3 times more, at the starts of the balls.
        losses: objectives of pixels, by name or config.
        norm: ``'linf'`` or ``'l2'``.
        targeted: False, or how target classes are chosen; then pixels at the target count in place of wrong ones.

    Raises:
        ValueError: for fewer than 4 steps, or losses that are not of pixels; when run, for a source that is not a
            segmentor.
    """

    needs_ball = True
    supports_eot = True
    eps: float

    def __init__(
        self,
        eps: float,
        steps: int = 300,
        losses: Sequence[Union[str, dict[str, Any]]] = LOSSES,
        norm: str = 'linf',
        targeted: Union[bool, str] = False,
    ):
        super().__init__(eps, norm, targeted)
        name = type(self).__name__
        check_integer(name, steps=steps)
        first, second = (int(share * steps) for _, share in _SCHEDULE[:2])
        if min(first, second) < 1:
            raise UsageError(f'{name}: steps are divided among three balls, so use at least 4, got {steps}')
        self.steps = int(steps)
        self.losses = [losses] if isinstance(losses, (str, dict)) else list(losses)
        built = [build_objective(loss) for loss in self.losses]
        self.objectives = [objective for objective in built if isinstance(objective, PixelObjective)]
        if not built or len(self.objectives) < len(built):
            raise UsageError(f'{name}: losses are objectives of pixels such as {", ".join(LOSSES)}; got {self.losses}')
        self.stochastic = self.targeted == 'random'
        self._radii = [factor * self.eps for factor, _ in _SCHEDULE]
        self._lengths = (first, second, self.steps - first - second)

    def details(self) -> list[str]:
        losses = [f'{len(self.losses)} losses'] if len(self.losses) > 1 else [str(self.losses[0]).replace('_', ' ')]
        return [*super().details(), *losses]

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        check_pixel_classes(type(self).__name__, source.task)

    def parts(self) -> list[dict[str, Any]]:
        """The same attack with each loss alone, as configs."""
        settings: dict[str, Any] = dict(type='SEA', eps=self.eps, steps=self.steps, norm=self.norm)
        if self.targeted:
            settings['targeted'] = self.targeted
        return [{**settings, 'losses': [loss]} for loss in self.losses]

    def perturb(self, batch: AttackBatch) -> Tensor:
        results = [self._with_loss(objective, batch) for objective in self.objectives]
        best = results[0]
        for result in results[1:]:
            better = result.scores > best.scores
            images = result.images.where(better.view(-1, 1, 1, 1), best.images)
            best = replace(best, images=images, scores=result.scores.where(better, best.scores))
        return best.images

    def _with_loss(self, objective: PixelObjective, batch: AttackBatch) -> AscentResult:
        """The best iterate for one loss; its ``scores`` are the shares of fooled pixels."""
        followed = objective if objective.sets_steps else StepsByCrossEntropy(objective)
        none = batch.clean.new_zeros(len(batch))
        result = AscentResult(batch.clean, none, none)
        for radius, steps in zip(self._radii, self._lengths):
            result = AdaptiveAscent(followed, steps)(batch, result.images, BALLS[self.norm](radius))
        return result


class StepsByCrossEntropy(Objective):
    """Has the gradient of an objective of pixels, and the value of the cross-entropy of all labelled pixels.

    Args:
        objective: the one to follow.
    """

    def __init__(self, objective: PixelObjective):
        self.objective = objective

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        scores, labels, known = pixel_scores(images, batch)
        followed = self.objective.of(scores, labels, known, batch)
        entropy = PixelCrossEntropy().of(scores.detach(), labels, known, batch)
        return entropy + (followed - followed.detach())

    def rank(self, view: RecordingBatch) -> Optional[Tensor]:
        return self.objective.rank(view)
