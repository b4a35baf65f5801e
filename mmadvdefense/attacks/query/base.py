"""Base classes of query attacks, with a query budget and an oracle."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Optional, Union

from torch import Tensor

from ...errors import UsageError
from ...validation import check_integer
from ..base import Attack
from ..batch import AttackBatch
from ..objectives import Objective, build_objective
from ..source import AttackSource
from .oracle import Oracle


class QueryAttack(Attack):
    """Queries the model with versions of each image until one fools it or the query budget is used up.

    The first query is the clean image: misclassified images are left unchanged. The result is the best queried image
    inside the ball (see :class:`~mmadvdefense.attacks.query.oracle.Oracle`), or the clean image if no better one was
    found. A subclass implements :meth:`search`.

    Args:
        eps: radius of the ball in pixels (0-255).
        queries: the number of queries allowed for each image.
        norm: ``'linf'`` or ``'l2'``.
        targeted: False, or how the target class is chosen.
        success_threshold: for segmentation: the share of the labelled pixels that must be wrong (targeted: in the
            target class) for an image to fool the model. For detection: an image fools the model if the F1 of its
            detections (confidence at least 0.3, IoU at least 0.5) is below 1 minus this number, or 0.

    Raises:
        ValueError: for an invalid or unknown setting.
    """

    stochastic = True
    needs_ball = True
    eps: float

    def __init__(
        self,
        eps: float,
        queries: int,
        norm: str = 'linf',
        targeted: Union[bool, str] = False,
        success_threshold: float = 1.0,
    ):
        name = type(self).__name__
        super().__init__(eps, norm, targeted)
        check_integer(name, queries=queries)
        if not 0 < success_threshold <= 1:
            raise UsageError(f'{name}: success_threshold must be above 0 and at most 1, got {success_threshold}')
        self.queries = int(queries)
        self.success_threshold = success_threshold

    @abstractmethod
    def search(self, oracle: Oracle) -> None:
        """Query ``oracle``, which keeps the best image. All images have the same size; the clean ones have been
        queried.
        """

    @abstractmethod
    def make_oracle(self, batch: AttackBatch) -> Oracle:
        """Create an oracle, already queried with the clean images."""

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial = batch.clean.clone()
        # Images of one size at a time, because neither random numbers nor proposals may depend on an image's padding.
        for (height, width), index in sorted(batch.layout.groups().items()):
            part = batch.select(index).cropped()
            oracle = self.make_oracle(part)
            self.search(oracle)
            adversarial[index, :, :height, :width] = oracle.best
            batch.merge(part, index)
        return adversarial

    def details(self) -> list[str]:
        return [*super().details(), f'{self.queries} queries']


class ScoreAttack(QueryAttack):
    """A query attack that observes a score for each image.

    Args:
        eps: radius of the ball in pixels (0-255).
        queries: the number of queries allowed for each image.
        objective: the score, as a name or config; by default the margin of the best wrong class over the true one
            (segmentation: its sum over pixels), and for detectors their own losses.
        options: of :class:`QueryAttack`. With a ``success_threshold`` of 1, the default, no image counts as fooling a
            detector, so that all queries are used.
    """

    access = 'scores'

    def __init__(self, eps: float, queries: int, objective: Union[str, dict[str, Any], None] = None, **options: Any):
        super().__init__(eps, queries, **options)
        self.objective: Optional[Objective] = None if objective is None else build_objective(objective)
        if self.objective is not None:
            self.targeted = self.targeted or self.objective.default_target or False
        if self.targeted and self.objective is not None and not self.objective.targetable:
            raise UsageError(f'{type(self).__name__}: the objective {objective!r} has no targeted form')

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        name = type(self).__name__
        if self.objective is not None:
            self.objective.check_task(name, source.task)
        elif self.targeted:
            source.task.require_class_scores(name, 'there are no targets for it, so leave targeted out')

    def make_oracle(self, batch: AttackBatch) -> Oracle:
        objective = self.objective or build_objective('cls+loc' if batch.source.task.has_loss_parts else 'margin')
        oracle = Oracle(batch, self.ball, 'scores', self.queries, objective, self.success_threshold)
        oracle.scores(batch.clean, oracle.affordable())
        return oracle


class DecisionAttack(QueryAttack):
    """A query attack that observes only whether an image fools the model: for segmentation by default on half of its
    pixels, for detection by an F1 below one half.

    Raises:
        ValueError: when run on a detector without boxes or with a target class, for which success is not defined.
    """

    access = 'decisions'

    def __init__(self, eps: float, queries: int, success_threshold: float = 0.5, **options: Any):
        super().__init__(eps, queries, success_threshold=success_threshold, **options)

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        name = type(self).__name__
        source.task.require_decisions(
            f'{name} needs to know whether an image fools the model', 'use Square, which needs losses only'
        )
        if self.targeted:
            source.task.require_class_scores(name, 'there are no targets for it, so leave targeted out')

    def make_oracle(self, batch: AttackBatch) -> Oracle:
        oracle = Oracle(batch, self.ball, 'decisions', self.queries, success_threshold=self.success_threshold)
        oracle.decisions(batch.clean, oracle.affordable())
        return oracle
