"""The state of a batch under attack."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import reduce
from typing import Any, Optional, Sequence, TypeVar

import torch
from torch import Tensor

from ..pixels import Layout, Pixels, unstack, valid_mask
from ..randomness import Randomness
from ..tasks.detections.candidates import Candidates
from ..tasks.detections.tables import BoxTable
from .finite import with_finite_gradient
from .source import AttackSource, CleanReference

Batch = TypeVar('Batch', bound='AttackBatch')


@dataclass
class AttackBatch:
    """A batch under attack.

    Attributes:
        samples: the host's data samples, prepared for the source model.
        reference: the source model's output on the clean images.
        clean: ``(N, 3, H, W)`` pixels 0-255, smaller images padded with zeros.
        layout: the original sizes of the images in ``clean``.
        target: target class indices; None for an untargeted attack.
        queries: ``(N,)``, the number of queries for each image; counted by :meth:`logits` and by
            objectives through :meth:`count`.
        nonfinite: ``(N,)`` on the device, number of gradients, scores and results per image that were NaN or infinite
            and were replaced by zeros, the lowest score and clean pixels.
        rise: ``(N,)`` on the device, by how much the objective rose at most above its value at the start of a run; NaN
            where that was not noted.
        values: what :meth:`noted` was given since a :class:`Climb` last looked.
        last_value: value of the objective at the last gradient.
        progress: share of the attack's steps that are done, in 0-1: ``(t - 1) / T`` at step t of T, and 1 afterwards.
    """

    source: AttackSource
    samples: Sequence[Any]
    reference: CleanReference
    randomness: Randomness
    clean: Tensor
    layout: Layout
    target: Optional[Tensor] = None
    queries: Tensor = field(init=False)
    nonfinite: Tensor = field(init=False)
    rise: Tensor = field(init=False)
    values: Optional[Tensor] = field(init=False, default=None)
    last_value: Optional[Tensor] = None
    progress: float = 0.0
    _choice: Optional[str] = None
    _labels: Optional[Tensor] = None
    _objects: Optional[BoxTable] = None

    def __post_init__(self) -> None:
        self.queries = torch.zeros(len(self.samples), dtype=torch.int64)
        self.nonfinite = torch.zeros(len(self.samples), dtype=torch.int64, device=self.clean.device)
        self.rise = torch.full((len(self.samples),), torch.nan, device=self.clean.device)
        self.mask = valid_mask(self.layout, self.clean)

    def __len__(self) -> int:
        return len(self.samples)

    def choose(self, options: Sequence[str]) -> str:
        """Choose one of the options at random, the same for all steps of the batch."""
        if self._choice is None:
            self._choice = options[self.randomness.choice(len(options))]
        return self._choice

    @property
    def labels(self) -> Tensor:
        if self._labels is None:
            self._labels = self.source.task.labels(self.samples, self.source.device)
        return self._labels

    def pixels(self, images: Tensor) -> Pixels:
        """Convert a stacked ``(N, 3, H, W)`` batch to the original layout."""
        return unstack(images, self.layout)

    def count(self, times: int = 1) -> None:
        """Add queries to the count of every image."""
        self.queries += times

    def noted(self, values: Tensor) -> Tensor:
        """Note the objective of each image, ``(N,)``, and return it; likewise a number if there is one image.

        What is noted for the same step (samples of a random defense) is summed.
        """
        if values.numel() == len(self):
            own = values.detach().reshape(-1)
            self.values = own if self.values is None else self.values + own
        return values

    def note_rise(self, rise: Optional[Tensor]) -> None:
        """Note a rise of the objective, ``(N,)``; the largest one counts, and None and NaN do not."""
        if rise is not None:
            self.rise = torch.fmax(self.rise, rise.to(self.rise.dtype))

    def guarded(self, images: Pixels) -> Pixels:
        """Images for a query, with non-finite gradients replaced: see :attr:`nonfinite`."""
        return with_finite_gradient(images, self.nonfinite)

    def logits(self, images: Pixels) -> Tensor:
        """Class scores of the source, counted as one query per image."""
        self.count()
        return self.source.logits(self.guarded(images), self.randomness)

    def losses(self, images: Pixels, samples: Optional[Sequence[Any]] = None) -> dict[str, Tensor]:
        """The host's own losses on the samples (by default the batch's), counted as one query per image."""
        self.count()
        samples = self.samples if samples is None else samples
        return self.source.losses(self.guarded(images), samples, self.randomness)

    def candidates(self, images: Pixels) -> Candidates:
        """The boxes that the source, a detector, considers; counted as one query per image."""
        self.count()
        return self.source.candidates(self.guarded(images), self.samples, self.randomness)

    @property
    def objects(self) -> BoxTable:
        """The ground-truth boxes of a detector's samples."""
        if self._objects is None:
            self._objects = self.source.task.objects(self.samples, self.source.device)
        return self._objects

    @property
    def target_scores(self) -> Tensor:
        """Class scores on the clean images by which targets are chosen: one set for each image, pixel or object."""
        if not self.source.task.has_candidates:
            return self.reference.logits
        return self.source.object_scores(self.pixels(self.clean), self.samples, self.randomness.derive('reference'))

    def select(self: Batch, index: Sequence[int]) -> Batch:
        """The part of this batch at these positions, with the same padding (see :meth:`cropped`).

        Its queries and non-finite values are counted separately: see :meth:`merge`.
        """
        index = list(index)
        at = torch.tensor(index, dtype=torch.long, device=self.clean.device)
        part = replace(
            self,
            samples=[self.samples[i] for i in index],
            reference=self.reference.select(index),
            randomness=self.randomness.select(index),
            clean=self.clean[at],
            layout=Layout(tuple(self.layout.sizes[i] for i in index), self.layout.is_list),
            target=None if self.target is None else self._part_of(self.target, index),
            _labels=None,
            _objects=None,
        )
        return part

    def cropped(self: Batch) -> Batch:
        """The same images, padded only to the largest of them, as if they formed a batch of their own."""
        height, width = (max(sides) for sides in zip(*self.layout.sizes))
        return replace(self, clean=self.clean[..., :height, :width])

    def merge(self, part: AttackBatch, index: Sequence[int]) -> None:
        """Add the counts of a part returned by :meth:`select`."""
        at = torch.tensor(list(index), dtype=torch.long)
        self.queries[at] += part.queries
        there = at.to(self.nonfinite.device)
        self.nonfinite.index_add_(0, there, part.nonfinite)
        self.rise[there] = torch.fmax(self.rise[there], part.rise)

    def absorb(self, run: AttackBatch) -> None:
        """Add the counts of another run on the same images."""
        self.queries += run.queries
        self.nonfinite += run.nonfinite
        self.note_rise(run.rise)

    def _part_of(self, target: Tensor, index: Sequence[int]) -> Tensor:
        # A detector's targets are concatenated over the boxes of all images.
        counts = self.source.task.label_counts(self.samples)
        parts = target.split(counts)
        return torch.cat([parts[i] for i in index])


@dataclass
class RecordingBatch(AttackBatch):
    """Records the class scores that an objective computes, so that one query yields its value and a decision.

    Attributes:
        answer: ``(N, K, ...)``, the class scores of the last query, without a graph; None if there were none.
    """

    answer: Optional[Tensor] = None

    @classmethod
    def of(cls, batch: AttackBatch) -> RecordingBatch:
        """The same batch; its queries and non-finite values are counted with those of ``batch``."""
        recording = cls(**{entry.name: getattr(batch, entry.name) for entry in fields(AttackBatch) if entry.init})
        recording.queries, recording.nonfinite = batch.queries, batch.nonfinite
        return recording

    def logits(self, images: Pixels) -> Tensor:
        scores = super().logits(images)
        self.answer = scores.detach()
        return scores


class Climb:
    """How far an objective rises over the steps of a run, from what it notes at each gradient; nothing waits for it.

    Args:
        views: the batch as each source model sees it; their values are summed.
    """

    def __init__(self, views: Sequence[AttackBatch]):
        self._views = views
        self._first: Optional[Tensor] = None
        self._highest: Optional[Tensor] = None
        self._take()

    def _take(self) -> Optional[Tensor]:
        noted = [view.values for view in self._views]
        for view in self._views:
            view.values = None
        known = [values for values in noted if values is not None]
        return reduce(torch.add, known) if len(known) == len(noted) else None

    def step(self) -> None:
        """Look at the values of one step."""
        values = self._take()
        if values is None:
            return
        if self._first is None:
            self._first = values
        else:
            self._highest = values if self._highest is None else torch.maximum(self._highest, values)

    @property
    def rise(self) -> Optional[Tensor]:
        """The highest value after the first step minus that of the first, ``(N,)``; None if there was only one."""
        return None if self._first is None or self._highest is None else self._highest - self._first
