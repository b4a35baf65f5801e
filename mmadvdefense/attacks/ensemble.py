"""An ensemble of source models, attacked as one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn, Optional, Sequence, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import Pixels
from ..randomness import Randomness
from ..tasks import Task
from .batch import AttackBatch
from .objectives import Objective
from .source import AttackSource, CleanReference, ModelInputs


class EnsembleSource(AttackSource):
    """Can replace an :class:`AttackSource` in any attack; each model sees images through its own preprocessor.

    Prepared data samples are tuples, one sample per model. A query to the ensemble counts once.

    Args:
        sources: at least one source; all must share task, classes and device.
        combine: how the models are combined. ``'logits'``: objectives use the mean of the models' class scores (Dong et
            al., CVPR 2018; HGD). ``'losses'``: the objective is evaluated per model and gradient attacks maximize the
            mean. Objectives on the host's losses or on features are always averaged.

    Raises:
        ValueError: for incompatible sources, or an unknown ``combine``.
    """

    task: EnsembleTask

    def __init__(self, sources: Sequence[AttackSource], combine: str = 'logits'):
        if combine not in ('logits', 'losses'):
            raise UsageError(f"combine must be 'logits' or 'losses', got {combine!r}")
        if not sources:
            raise UsageError('an ensemble needs at least one source model')
        _check_alike(sources)
        self.sources = list(sources)
        self.combine = combine
        self._scores_checked = self._candidates_checked = False
        self.task = EnsembleTask([source.task for source in sources])
        self.model = nn.ModuleList(source.model for source in sources)
        self.preprocessor = nn.ModuleList(source.preprocessor for source in sources)
        self.training = any(source.training for source in sources)
        self.eot_samples = max(source.eot_samples for source in sources)
        self.gradients = all(source.gradients for source in sources)
        self.channel_order = sources[0].channel_order
        # Each model sees images in its own channel order.
        self.swaps_channels = [bool(source.swaps_channels) for source in sources]
        # Each source applies its own defense.
        self.defense = None

    @property
    def device(self) -> torch.device:
        return self.sources[0].device

    def logits(self, images: Pixels, randomness: Optional[Randomness] = None) -> Tensor:
        """The mean of the models' class scores.

        Raises:
            ValueError: if losses are combined instead.
        """
        if self.combine == 'losses':
            raise UsageError(
                "an ensemble with combine='losses' has no class scores of its own, which this attack or objective "
                "asks for; use combine='logits'"
            )
        return super().logits(images, randomness)

    def preprocess(self, images: Pixels, randomness: Optional[Randomness] = None) -> list[Tensor]:
        """The inputs of each model."""
        return [source.preprocess(images, randomness) for source in self.sources]

    def losses(
        self, images: Pixels, data_samples: Sequence[Any], randomness: Optional[Randomness] = None
    ) -> dict[str, Tensor]:
        """The models' own losses, each divided by their number and named after the model: ``'0.loss_cls'``."""
        losses = [
            source.losses(images, samples, randomness)
            for source, samples in zip(self.sources, self.task.samples_of(data_samples))
        ]
        return self.task.merge_losses(losses)

    def object_scores(
        self, images: Pixels, data_samples: Sequence[Any], randomness: Optional[Randomness] = None
    ) -> Tensor:
        """The mean of the models' scores of the classes of each object."""
        own = zip(self.sources, self.task.samples_of(data_samples))
        return torch.stack([source.object_scores(images, samples, randomness) for source, samples in own]).mean(0)

    def prepare_samples(self, images: Pixels, data_samples: Sequence[Any]) -> list[tuple[Any, ...]]:
        return list(zip(*(source.prepare_samples(images, data_samples) for source in self.sources)))

    def members(self, batch: AttackBatch) -> list[AttackBatch]:
        """The batch from the perspective of each model. Queries are counted by the first one only; all share the count
        of non-finite values.
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
                _objects=None,
            )
            for source, samples in zip(self.sources, self.task.samples_of(batch.samples))
        ]
        if batch.target is not None:
            for view in views:
                view.target = pad_to(view.labels, batch.target, view.source.task.ignore_index)
        views[0].queries = batch.queries
        for view in views:
            view.nonfinite = batch.nonfinite
        return views


def members(batch: AttackBatch) -> list[AttackBatch]:
    """The batch from the perspective of each source model; just the batch itself for a single model."""
    return batch.source.members(batch) if isinstance(batch.source, EnsembleSource) else [batch]


def views(batch: AttackBatch, objective: Objective) -> list[AttackBatch]:
    """The views of a batch over which an objective is averaged."""
    source = batch.source
    if isinstance(source, EnsembleSource) and not (source.combine == 'logits' and objective.of_scores):
        return source.members(batch)
    return [batch]


def _check_alike(sources: Sequence[AttackSource]) -> None:
    first = sources[0]
    for index, other in enumerate(sources[1:], 1):
        names = [f'source {i} ({type(source.model).__name__})' for i, source in ((0, first), (index, other))]
        for what, ours, theirs, alike in (
            ('task', first.task.name, other.task.name, first.task.is_like(other.task)),
            ('device', first.device, other.device, first.device == other.device),
            (
                'number of classes',
                first.task.num_classes,
                other.task.num_classes,
                first.task.num_classes == other.task.num_classes,
            ),
        ):
            if not alike:
                raise UsageError(
                    f'the models of an ensemble differ in their {what}: {names[0]} has {ours}, {names[1]} has {theirs}'
                )


class EnsembleTask(Task):
    """Delegates to each model's own task. Inputs are lists and data samples tuples, one entry per model.

    If native preprocessors pad differently (at the bottom and on the right, as in all hosts), pixel-wise scores and
    labels cover the region common to all models.

    Args:
        tasks: the models' tasks, all of one kind.
    """

    def __init__(self, tasks: Sequence[Task]):
        self.tasks = list(tasks)
        # All have the same capabilities, so the first is representative.
        first = tasks[0]
        self.name, self.noun = first.name, first.noun
        self.dense, self.one_label = first.dense, first.one_label
        self.has_class_scores = first.has_class_scores
        # Detections of several models have no mean.
        self.has_decisions = first.has_decisions and first.has_class_scores
        self.has_loss_parts, self.has_label_map = first.has_loss_parts, first.has_label_map
        self.has_candidates = all(task.has_candidates for task in tasks)
        self.score_threshold = first.score_threshold
        self.has_pixel_classes, self.has_binary_scores = first.has_pixel_classes, first.has_binary_scores

    def samples_of(self, data_samples: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
        """The data samples of each model."""
        return [list(samples) for samples in zip(*data_samples)]

    # --- the models -----------------------------------------------------------------------------------------

    def logits(self, inputs: ModelInputs) -> Tensor:
        return torch.stack(_common_part([task.logits(x) for task, x in zip(self.tasks, inputs)])).mean(0)

    def reference(self, inputs: ModelInputs) -> Optional[Tensor]:
        references = [task.reference(x) for task, x in zip(self.tasks, inputs)]
        known = [scores for scores in references if scores is not None]
        return torch.stack(_common_part(known)).mean(0) if len(known) == len(references) else None

    @property
    def reference_has_logits(self) -> bool:
        return all(task.reference_has_logits for task in self.tasks)

    def check_scores(self, inputs: ModelInputs, logits: Optional[Tensor] = None) -> None:
        """Check each model's scores against its own prediction."""
        for task, own in zip(self.tasks, inputs):
            task.check_scores(own)

    def merge_losses(self, losses: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """One dict for all models, whose loss entries sum to the mean over the models."""
        return {
            f'{index}.{name}': _divide(value, len(losses)) if 'loss' in name else value
            for index, entries in enumerate(losses)
            for name, value in entries.items()
        }

    def select_losses(self, losses: dict[str, Any], part: str) -> list[Any]:
        selected: list[Any] = []
        for index, task in enumerate(self.tasks):
            prefix = f'{index}.'
            own = {name[len(prefix) :]: value for name, value in losses.items() if name.startswith(prefix)}
            selected += task.select_losses(own, part)
        return selected

    # --- ground truth ---------------------------------------------------------------------------------------

    def in_input_frame(self, data_samples: Sequence[Any], annotations_in_input_frame: bool) -> list[Any]:
        return self.tasks[0].in_input_frame(data_samples, annotations_in_input_frame)

    def check_samples(self, data_samples: Sequence[Any]) -> None:
        self.tasks[0].check_samples(data_samples)

    def ground_truth(self, data_sample: Any) -> list[Any]:
        return self.tasks[0].ground_truth(data_sample)

    def score_samples(
        self, predictions: Sequence[Any], annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> NoReturn:
        raise UsageError('an ensemble cannot be scored; score each of its models')

    def labels(self, data_samples: Sequence[tuple[Any, ...]], device: torch.device) -> Tensor:
        samples = self.samples_of(data_samples)
        return _common_part([task.labels(own, device) for task, own in zip(self.tasks, samples)])[0]

    def label_counts(self, data_samples: Sequence[tuple[Any, ...]]) -> list[int]:
        return self.tasks[0].label_counts(self.samples_of(data_samples)[0])

    def relabel(self, data_samples: Sequence[tuple[Any, ...]], target: Tensor) -> list[tuple[Any, ...]]:
        relabelled = [
            task.relabel(own, pad_to(task.labels(own, target.device), target, task.ignore_index))
            for task, own in zip(self.tasks, self.samples_of(data_samples))
        ]
        return list(zip(*relabelled))

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.tasks[0].cross_entropy(logits, target)

    def fit(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.tasks[0].fit(logits, labels)

    # --- features -------------------------------------------------------------------------------------------

    def feature_tap(self, layer: Optional[str] = None) -> NoReturn:
        raise UsageError('an ensemble has no one layer to read features from; attack one source model')

    def class_features(self, features: Tensor, data_samples: Sequence[Any]) -> NoReturn:
        self.feature_tap()

    def label_map(self, data_samples: Sequence[Any], size: Sequence[int], device: torch.device) -> NoReturn:
        self.feature_tap()

    # --- facts ----------------------------------------------------------------------------------------------

    def target_classes(self, logits: Tensor) -> Optional[Tensor]:
        return self.tasks[0].target_classes(logits)

    @property
    def num_classes(self) -> Optional[int]:
        return self.tasks[0].num_classes

    @property
    def ignore_index(self) -> Optional[int]:
        return self.tasks[0].ignore_index


def pad_to(labels: Tensor, target: Tensor, ignore_index: Optional[int]) -> Tensor:
    """Pad a target for the common region to the size of one model's own labels."""
    if target.shape == labels.shape:
        return target
    below, right = (theirs - ours for theirs, ours in zip(labels.shape[-2:], target.shape[-2:]))
    return F.pad(target, (0, right, 0, below), value=ignore_index)


def _common_part(maps: Sequence[Tensor]) -> list[Tensor]:
    """Crop pixel-wise tensors ``(N, ..., H_i, W_i)`` to the smallest size; others are unchanged."""
    if len({m.shape for m in maps}) == 1:
        return list(maps)
    height, width = (min(sides) for sides in zip(*(m.shape[-2:] for m in maps)))
    return [m[..., :height, :width] for m in maps]


def _divide(value: Union[Tensor, Sequence[Tensor]], number: int) -> Union[Tensor, list[Tensor]]:
    return value / number if isinstance(value, Tensor) else [item / number for item in value]
