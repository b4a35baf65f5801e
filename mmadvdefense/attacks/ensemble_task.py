"""The task of several models at once, as objectives ask for it."""

from __future__ import annotations

from typing import NoReturn, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..tasks import Task


class EnsembleTask(Task):
    """Hands what is asked to each model's own task. Inputs are lists and data samples tuples, one a model.

    Where native preprocessors pad differently (below and on the right, as all hosts do), pixel-wise scores and labels
    are those of the part that all models have.

    Args:
        tasks: of the models, all of one kind.
    """

    def __init__(self, tasks: Sequence[Task]):
        self.tasks = list(tasks)
        self.name = tasks[0].name
        self.dense = tasks[0].dense
        self.one_label = tasks[0].one_label

    def samples_of(self, data_samples: Sequence[tuple]) -> list[list]:
        """The data samples of each model."""
        return [list(samples) for samples in zip(*data_samples)]

    # --- the models -----------------------------------------------------------------------------------------

    def logits(self, inputs: Sequence[Tensor]) -> Tensor:
        return torch.stack(_common_part([task.logits(x) for task, x in zip(self.tasks, inputs)])).mean(0)

    def reference(self, inputs: Sequence[Tensor]) -> Optional[Tensor]:
        references = [task.reference(x) for task, x in zip(self.tasks, inputs)]
        return None if any(r is None for r in references) else torch.stack(_common_part(references)).mean(0)

    @property
    def reference_has_logits(self) -> bool:
        return all(task.reference_has_logits for task in self.tasks)

    def check_scores(self, inputs: Sequence[Tensor], logits: Optional[Tensor] = None) -> None:
        """Each model is held against its own prediction."""
        for task, own in zip(self.tasks, inputs):
            task.check_scores(own)

    def merge_losses(self, losses: Sequence[dict]) -> dict:
        """One dict for all models whose entries add up to the mean over the models."""
        return {
            f'{index}.{name}': _divide(value, len(losses)) if 'loss' in name else value
            for index, entries in enumerate(losses)
            for name, value in entries.items()
        }

    def select_losses(self, losses: dict, part: str) -> list:
        selected = []
        for index, task in enumerate(self.tasks):
            prefix = f'{index}.'
            own = {name[len(prefix) :]: value for name, value in losses.items() if name.startswith(prefix)}
            selected += task.select_losses(own, part)
        return selected

    # --- ground truth ---------------------------------------------------------------------------------------

    def in_input_frame(self, data_samples: Sequence, annotations_in_input_frame: bool) -> list:
        return self.tasks[0].in_input_frame(data_samples, annotations_in_input_frame)

    def check_samples(self, data_samples: Sequence) -> None:
        self.tasks[0].check_samples(data_samples)

    def ground_truth(self, data_sample) -> list:
        return self.tasks[0].ground_truth(data_sample)

    def score_samples(
        self, predictions: Sequence, annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> NoReturn:
        raise ValueError('an ensemble is attacked, not scored; score each of its models')

    def labels(self, data_samples: Sequence[tuple], device: torch.device) -> Tensor:
        samples = self.samples_of(data_samples)
        return _common_part([task.labels(own, device) for task, own in zip(self.tasks, samples)])[0]

    def label_counts(self, data_samples: Sequence[tuple]) -> list[int]:
        return self.tasks[0].label_counts(self.samples_of(data_samples)[0])

    def relabel(self, data_samples: Sequence[tuple], target: Tensor) -> list[tuple]:
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
        raise ValueError('an ensemble has no one layer to read features from; attack one source model')

    def class_features(self, features: Tensor, data_samples: Sequence) -> NoReturn:
        self.feature_tap()

    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> NoReturn:
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
    """A target for the part that all models have, at the size of one model's own labels."""
    if target.shape == labels.shape:
        return target
    below, right = (theirs - ours for theirs, ours in zip(labels.shape[-2:], target.shape[-2:]))
    return F.pad(target, (0, right, 0, below), value=ignore_index)


def _common_part(maps: Sequence[Tensor]) -> list[Tensor]:
    """Pixel-wise tensors ``(N, ..., H_i, W_i)`` cut to the smallest of their sizes; others as they are."""
    if len({m.shape for m in maps}) == 1:
        return list(maps)
    height, width = (min(sides) for sides in zip(*(m.shape[-2:] for m in maps)))
    return [m[..., :height, :width] for m in maps]


def _divide(value, number: int):
    return value / number if isinstance(value, Tensor) else [item / number for item in value]
