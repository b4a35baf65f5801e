"""The attacker's view of the model: one answer per image and query, with every query counted."""

from __future__ import annotations

from typing import Optional, Sequence

import torch
from torch import Tensor

from ..balls import Ball
from ..batch import AttackBatch, RecordingBatch
from ..criteria import is_misclassified
from ..objectives import Objective

# Tolerance for rounding, relative to the budget and in pixels.
_TOLERANCE = (1e-5, 1e-4)


class Oracle:
    """Answers queries about the images of a batch, and keeps the best version of each image inside the budget.

    The best version is the one nearest to the clean image (L2) among those that fool the model or, if none does, the
    one with the highest score. Initially it is the clean image.

    Args:
        batch: the batch under attack; its ``queries`` are incremented for each queried image.
        ball: the budget. Points outside it may be queried, but are never the best.
        access: ``'scores'`` or ``'decisions'``; with ``'decisions'``, scores are not available.
        limit: the number of queries allowed for each image.
        objective: the objective whose values are the scores.
        success_threshold: see :func:`~mmadvdefense.attacks.criteria.is_misclassified`.

    Attributes:
        clean: ``(N, 3, H, W)`` pixels 0-255.
        randomness: random numbers for the attack.
        best: like ``clean``.
        found: whether the best version of each image fools the model.
    """

    def __init__(
        self,
        batch: AttackBatch,
        ball: Ball,
        access: str,
        limit: int,
        objective: Optional[Objective] = None,
        success_threshold: float = 1.0,
    ):
        self.batch = batch
        self.ball = ball
        self.access = access
        self.limit = limit
        self.objective = objective
        self.success_threshold = success_threshold
        self.clean = batch.clean
        # A separate stream, independent of a random defense.
        self.randomness = batch.randomness.derive('oracle')
        self.best = batch.clean.clone()
        self.found = [False] * len(batch)
        self._asked = [0] * len(batch)
        self._score = batch.clean.new_full((len(batch),), -torch.inf)
        self._size = batch.clean.new_full((len(batch),), torch.inf)
        self._recorder = RecordingBatch.of(batch)
        self._part: Optional[tuple[list[int], RecordingBatch]] = None

    def affordable(self) -> list[int]:
        """The images that may still be queried."""
        return [i for i, asked in enumerate(self._asked) if asked < self.limit]

    def active(self) -> list[int]:
        """The images that may still be queried and do not yet fool the model."""
        return [i for i in self.affordable() if not self.found[i]]

    def best_scores(self) -> Tensor:
        """The scores of :attr:`best`, ``(N,)``; minus infinity if no score was queried."""
        return self._score.clone()

    def decisions(self, images: Tensor, index: Sequence[int]) -> Tensor:
        """Whether the model errs, ``(M,)`` bool, on other versions of the images at M positions of the batch.

        Args:
            images: ``(M, 3, H, W)``.
            index: their positions, each at most once.

        Raises:
            RuntimeError: if the queries of an image are used up.
        """
        part = self._question(index)
        fooled = is_misclassified(part.logits(part.pixels(images)), part, self.success_threshold)
        self._note(images, index, part, fooled, self._score[index])
        return fooled

    def scores(self, images: Tensor, index: Sequence[int]) -> Tensor:
        """The objective of each image, ``(M,)``, to be maximized; NaN becomes minus infinity. Arguments as for
        :meth:`decisions`.

        Raises:
            RuntimeError: if only decisions are available, or the queries of an image are used up.
        """
        if self.access != 'scores' or self.objective is None:
            raise RuntimeError(f'this attacker has access to {self.access}, not to scores')
        part = self._question(index)
        values = self.objective.values(part.pixels(images), part)
        undefined = values.isnan()
        part.nonfinite += undefined
        # NaN compares false with everything: kept as the best score, it would never be replaced.
        values = values.where(~undefined, -torch.inf)
        fooled = torch.zeros_like(values, dtype=torch.bool)
        if part.answer is not None:
            fooled = is_misclassified(part.answer, part, self.success_threshold)
        self._note(images, index, part, fooled, values)
        return values

    def _question(self, index: Sequence[int]) -> RecordingBatch:
        index = list(index)
        spent = [i for i in index if self._asked[i] >= self.limit]
        if spent:
            raise RuntimeError(f'image {spent[0]} of the batch has already been queried {self.limit} times')
        if self._part is None or self._part[0] != index:
            self._part = (index, self._recorder.select(index))
        part = self._part[1]
        part.queries.zero_()
        part.nonfinite.zero_()
        part.answer = None
        return part

    def _note(self, images: Tensor, index: Sequence[int], part: RecordingBatch, fooled: Tensor, values: Tensor) -> None:
        self.batch.merge(part, index)
        for i in index:
            self._asked[i] += 1
        delta = images - self.clean[index]
        relative, pixels = _TOLERANCE
        inside = self.ball.size(delta) <= self.ball.eps * (1 + relative) + pixels
        size = delta.flatten(1).norm(dim=1)
        before = torch.tensor([self.found[i] for i in index], device=fooled.device)
        nearer = fooled & (~before | (size < self._size[index]))
        better = inside & (nearer | (~before & (values > self._score[index])))
        chosen = better.nonzero().flatten().tolist()
        places = [index[i] for i in chosen]
        self.best[places] = images[chosen]
        self._size[places] = size[chosen]
        self._score[places] = values[chosen]
        for place, is_fooled in zip(places, fooled[chosen].tolist()):
            self.found[place] |= is_fooled
