"""Several source models attacked as one."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional, Sequence

import torch
from torch import Tensor, nn

from ..pixels import Pixels
from ..randomness import Randomness
from .batch import AttackBatch
from .ensemble_task import EnsembleTask, pad_to
from .objectives import Objective
from .source import AttackSource, CleanReference


class EnsembleSource(AttackSource):
    """Takes the place of an :class:`AttackSource` in every attack; each model sees images through its own preprocessor.

    Prepared data samples are tuples, one sample a model. Asking the ensemble is one query.

    Args:
        sources: at least one, of one task, with the same classes, on one device.
        combine: where class scores are brought together. ``'logits'``: their mean is taken, so that an objective sees
            one model (Dong et al., CVPR 2018; HGD). ``'losses'``: each model has an objective of its
            own, and gradient attacks climb the mean of those, as they do in either case where an objective is none of
            class scores: the host's losses, features.

    Raises:
        ValueError: for sources that do not belong together, or an unknown way to combine them.
    """

    def __init__(self, sources: Sequence[AttackSource], combine: str = 'logits'):
        if combine not in ('logits', 'losses'):
            raise ValueError(f"an ensemble combines 'logits' or 'losses', got {combine!r}")
        if not sources:
            raise ValueError('an ensemble needs at least one source model')
        _check_alike(sources)
        self.sources = list(sources)
        self.combine = combine
        self._scores_checked = False
        self.task = EnsembleTask([source.task for source in sources])
        self.model = nn.ModuleList(source.model for source in sources)
        self.preprocessor = nn.ModuleList(source.preprocessor for source in sources)
        self.training = any(source.training for source in sources)
        self.draws = max(source.draws for source in sources)
        self.gradients = all(source.gradients for source in sources)
        self.channel_order = sources[0].channel_order
        # Each model sees images in its own order.
        self.swaps_channels = [source.swaps_channels for source in sources]
        # Each model's own stands in front of it.
        self.defence = None

    @property
    def device(self) -> torch.device:
        return self.sources[0].device

    def logits(self, images: Pixels, randomness: Optional[Randomness] = None) -> Tensor:
        """The mean of the models' class scores.

        Raises:
            ValueError: if losses are combined instead.
        """
        if self.combine == 'losses':
            raise ValueError(
                "an ensemble with combine='losses' has no class scores of its own, which this attack or objective "
                "asks for; use combine='logits'"
            )
        return super().logits(images, randomness)

    def preprocess(self, images: Pixels, randomness: Optional[Randomness] = None) -> list[Tensor]:
        """What each model takes."""
        return [source.preprocess(images, randomness) for source in self.sources]

    def losses(
        self, images: Pixels, data_samples: Sequence, randomness: Optional[Randomness] = None
    ) -> dict[str, Tensor]:
        """The models' own losses, each divided by their number and named after the model: ``'0.loss_cls'``."""
        losses = [
            source.losses(images, samples, randomness)
            for source, samples in zip(self.sources, self.task.samples_of(data_samples))
        ]
        return self.task.merge_losses(losses)

    def prepare_samples(self, images: Pixels, data_samples: Sequence) -> list[tuple]:
        return list(zip(*(source.prepare_samples(images, data_samples) for source in self.sources)))

    def members(self, batch: AttackBatch) -> list[AttackBatch]:
        """A batch as each model sees it for itself. The first one's queries are the batch's own, and so is what any of
        them counts as not finite.
        """
        views = [
            replace(
                batch,
                source=source,
                samples=samples,
                reference=CleanReference(
                    source, batch.pixels(batch.clean), randomness=batch.randomness.derive('reference')
                ),
                _labels=None,
            )
            for source, samples in zip(self.sources, self.task.samples_of(batch.samples))
        ]
        for view in views if batch.target is not None else ():
            view.target = pad_to(view.labels, batch.target, view.source.task.ignore_index)
        views[0].queries = batch.queries
        for view in views:
            view.nonfinite = batch.nonfinite
        return views


def members(batch: AttackBatch) -> list[AttackBatch]:
    """The batch as each source model sees it for itself; the batch alone where there is one model."""
    return batch.source.members(batch) if isinstance(batch.source, EnsembleSource) else [batch]


def views(batch: AttackBatch, objective: Objective) -> list[AttackBatch]:
    """The batches that the mean of an objective is taken over."""
    source = batch.source
    if isinstance(source, EnsembleSource) and not (source.combine == 'logits' and objective.of_scores):
        return source.members(batch)
    return [batch]


def _check_alike(sources: Sequence[AttackSource]) -> None:
    first = sources[0]
    for index, other in enumerate(sources[1:], 1):
        names = [f'source {i} ({type(source.model).__name__})' for i, source in ((0, first), (index, other))]
        for what, ours, theirs in (
            ('task', first.task.name, other.task.name),
            ('device', first.device, other.device),
            ('number of classes', first.task.num_classes, other.task.num_classes),
        ):
            if ours != theirs:
                raise ValueError(
                    f'the models of an ensemble differ in their {what}: {names[0]} has {ours}, {names[1]} has {theirs}'
                )
