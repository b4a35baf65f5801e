"""Classifiers that make several decisions on an image: with multi-label heads or several heads (MMPretrain)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from .classification import ImageTask, class_scores_of, number_of_classes, predicted_labels
from .sample_scores import SampleScores
from .thresholds import threshold_logit, two_class_scores

# The label of decisions for which an image has no ground truth.
NO_CLASS = -100
# The score of classes that a decision lacks where others have more; their probability is exactly 0.
_NO_SCORE = -1e4


def head_bases(model: nn.Module) -> set[str]:
    """The names of the class of a model's head and of its base classes."""
    return {base.__name__ for base in type(getattr(model, 'head', None)).__mro__}


def makes_several_decisions(model: nn.Module) -> bool:
    """Whether a classifier's head may name several labels, or consists of several heads."""
    return bool({'MultiLabelClsHead', 'MultiTaskHead'} & head_bases(model))


@dataclass(frozen=True)
class Part:
    """A head, and where its ground truth and its predictions are found.

    Attributes:
        path: names of the tasks that lead to it in a ``MultiTaskHead``; empty if it is the only head of the model.
        head: the host's.
        num_classes: how many classes it distinguishes, or how many labels it may name.
        offset: how many classes the parts before it have.
    """

    path: tuple[str, ...]
    head: BaseModule
    num_classes: int
    offset: int

    @property
    def is_multi_label(self) -> bool:
        return hasattr(self.head, 'thr') and hasattr(self.head, 'topk')

    @property
    def num_decisions(self) -> int:
        """One for each label that may be named, or else one in all."""
        return self.num_classes if self.is_multi_label else 1

    @property
    def name(self) -> str:
        return '.'.join(self.path)

    def scores(self, output) -> Tensor:
        """``(N, K, D)`` class scores of its D decisions, from what the model returns in mode ``tensor``."""
        for name in self.path:
            output = output[name]
        output = class_scores_of(output)
        if not self.is_multi_label:
            return output.unsqueeze(2)
        if self.head.thr is not None:
            return two_class_scores(output, threshold_logit(self.head.thr, type(self.head).__name__))
        topk = self.head.topk
        if topk >= output.shape[1]:
            raise UsageError(f'{type(self.head).__name__} always names all {output.shape[1]} labels (topk={topk})')
        # Halfway between the last label that is named and the first that is not.
        boundary = output.topk(topk + 1).values[:, -2:].mean(1, keepdim=True)
        return two_class_scores(output, boundary)

    def samples(self, data_samples: Sequence) -> list:
        """The host's samples of this part; None for images that have none."""
        own = list(data_samples)
        for name in self.path:
            own = [None if sample is None else sample.get(name) for sample in own]
        return own

    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        """``(N, D)``: the class, or 1 for each label that belongs to the image; ``NO_CLASS`` where nothing is known."""
        own = self.samples(data_samples)
        known = [index for index, sample in enumerate(own) if sample is not None and _is_labelled(sample)]
        labels = torch.full((len(own), self.num_decisions), NO_CLASS, dtype=torch.long, device=device)
        if known:
            truth = self._truth([own[index] for index in known], data_samples, device)
            labels = truth if len(known) == len(own) else labels.index_copy(0, _index(known, device), truth)
        return labels

    def _truth(self, own: list, data_samples: Sequence, device: torch.device) -> Tensor:
        if self.is_multi_label:
            if all('gt_score' in sample for sample in own):
                # Of mixed labels, those of at least one half belong to the image.
                return (torch.stack([sample.gt_score for sample in own]).to(device, non_blocking=True) >= 0.5).long()
            return named_labels([sample.gt_label for sample in own], self.num_classes, device)
        if any(len(sample.gt_label) != 1 for sample in own):
            name = data_samples[0].get('img_path') or 'an image of the batch'
            raise UsageError(f'{name}: {self.name} has several labels, but its head puts an image in one class')
        return torch.stack([sample.gt_label for sample in own]).to(device, non_blocking=True)

    def predicted(self, predictions: Sequence) -> Tensor:
        """What the host predicts, in the form of :meth:`labels`."""
        own = self.samples(predictions)
        if not self.is_multi_label:
            return predicted_labels(own, type(self.head).__name__)[:, None]
        return named_labels([sample.pred_label for sample in own], self.num_classes, own[0].pred_label.device)

    def relabel(self, sample, target: Tensor) -> None:
        """Give a sample of this part the labels ``(D,)``."""
        if self.is_multi_label:
            sample.set_gt_score(target.to(torch.get_default_dtype()))
            sample.pop('gt_label', None)
            return
        sample.set_gt_label(target)
        if 'gt_score' in sample:
            sample.set_gt_score(F.one_hot(target[0], self.num_classes).to(sample.gt_score))

    def classes(self, labels: Tensor) -> Tensor:
        """Classes of the model as a whole from :meth:`labels`; ``NO_CLASS`` for labels that an image does not have."""
        if not self.is_multi_label:
            return (labels + self.offset).where(labels != NO_CLASS, NO_CLASS)
        own = torch.arange(self.num_classes, device=labels.device) + self.offset
        return own.expand_as(labels).where(labels == 1, NO_CLASS)

    def score(self, predictions: Sequence) -> tuple[Tensor, Tensor]:
        """How correct the model is on each image, 0-1 ``(N,)``, and whether the ground truth is known ``(N,)``."""
        labels, predicted = self.labels(predictions, torch.device('cpu')), self.predicted(predictions).cpu()
        known = (labels != NO_CLASS).any(1)
        if not self.is_multi_label:
            return (labels == predicted)[:, 0].double(), known
        named = (labels.clamp(min=0) + predicted).sum(1).double()
        return torch.where(named > 0, 2 * (labels * predicted == 1).sum(1) / named.clamp(min=1), 1.0), known


class SeveralLabelsTask(ImageTask):
    """D decisions on an image, each with its own class scores.

    A multi-label head decides on every label whether it belongs to the image: two classes, no and yes, whose
    cross-entropy is the binary one. A ``MultiTaskHead`` makes the decisions of all its heads. Class scores are
    ``(N, K, D)`` and labels ``(N, D)``, like those of a segmentor for its pixels. K is the largest number of classes.
    """

    # The scores of all decisions stand side by side.
    exclusive_classes = False

    def __init__(self, model: BaseModel):
        super().__init__(model)
        heads = list(_heads(model.head))
        self.name = 'multi-label classification' if heads[0][0] == () else 'multi-task classification'
        self.parts: list[Part] = []
        offset = 0
        for path, head in heads:
            number = number_of_classes(head) or (self._outputs if path == () else None)
            if number is None:
                raise UsageError(f'{type(head).__name__} does not say how many classes it has; give it num_classes')
            self.parts.append(Part(path, head, number, offset))
            offset += number

    # --- the model ------------------------------------------------------------------------------------------

    def logits(self, inputs: Tensor) -> Tensor:
        output = self.model(inputs, mode='tensor')
        scores = [part.scores(output) for part in self.parts]
        classes = max(own.shape[1] for own in scores)
        return torch.cat([F.pad(own, (0, 0, 0, classes - own.shape[1]), value=_NO_SCORE) for own in scores], 2)

    def decisions(self, inputs: Tensor) -> Tensor:
        predictions = self.model.forward(inputs, None, mode='predict')
        return torch.cat([part.predicted(predictions) for part in self.parts], 1)

    def losses(self, inputs: Tensor, data_samples: Sequence) -> dict[str, Tensor]:
        self.check_samples(data_samples)
        return super().losses(inputs, data_samples)

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, reduction='none', ignore_index=self.ignore_index).sum(1)

    def feature_tap(self, layer: Optional[str] = None):
        if layer == 'logits' and self.parts[0].path:
            raise UsageError('a MultiTaskHead has no one layer of logits; name a layer, or leave feature_layer out')
        return super().feature_tap(layer)

    # --- ground truth ---------------------------------------------------------------------------------------

    def check_samples(self, data_samples: Sequence) -> None:
        for index, sample in enumerate(data_samples):
            own = [part.samples([sample])[0] for part in self.parts]
            if not any(one is not None and _is_labelled(one) for one in own):
                name = sample.get('img_path') or f'image {index} of the batch'
                tasks = ', '.join(part.name for part in self.parts if part.path)
                what = f'no label of the tasks {tasks}' if tasks else 'no gt_label or gt_score'
                raise UsageError(f'{name} has {what}; the pipeline must pack labels')

    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        self.check_samples(data_samples)
        return torch.cat([part.labels(data_samples, device) for part in self.parts], 1)

    def relabel(self, data_samples: Sequence, target: Tensor) -> list:
        relabelled = copy.deepcopy(list(data_samples))
        columns = target.split([part.num_decisions for part in self.parts], 1)
        for part, own in zip(self.parts, columns):
            for sample, labels in zip(part.samples(relabelled), own):
                if sample is not None and _is_labelled(sample):
                    part.relabel(sample, labels)
        return relabelled

    def ground_truth(self, data_sample: Any) -> list:
        own = [part.samples([data_sample])[0] for part in self.parts]
        return [one.get(name) for one in own if one is not None for name in ('gt_label', 'gt_score') if name in one]

    def score_samples(
        self, predictions: Sequence, annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> SampleScores:
        """F1 of the labels that are named; for several heads, the mean over those that an image has ground truth for.

        NaN where it has none.
        """
        scores, known = (torch.stack(columns) for columns in zip(*(part.score(predictions) for part in self.parts)))
        return SampleScores((scores * known).sum(0) / known.sum(0))

    # --- features -------------------------------------------------------------------------------------------

    def class_features(self, features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
        """Each image's features once per decision, ``(N D, L)``; ``NO_CLASS`` for labels it does not have."""
        vectors = features.flatten(2).mean(2) if features.ndim > 2 else features
        classes = self._classes(data_samples, features.device)
        return vectors[:, None].expand(-1, classes.shape[1], -1).flatten(0, 1), classes.flatten()

    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        """1 in the maps of the labels that belong to the image."""
        classes = self._classes(data_samples, device)
        maps = torch.zeros(len(classes), self.num_classes + 1, device=device)
        maps.scatter_(1, classes.where(classes != NO_CLASS, self.num_classes), 1)
        return maps[:, :-1, None, None].expand(-1, -1, *size)

    def _classes(self, data_samples: Sequence, device: torch.device) -> Tensor:
        return torch.cat([part.classes(part.labels(data_samples, device)) for part in self.parts], 1)

    # --- facts ----------------------------------------------------------------------------------------------

    @property
    def ignore_index(self) -> int:
        return NO_CLASS

    def target_classes(self, logits: Tensor) -> Optional[Tensor]:
        """The classes that each decision has."""
        number = torch.arange(logits.shape[1], device=logits.device)[:, None]
        known = [
            (number < (2 if part.is_multi_label else part.num_classes)).expand(-1, part.num_decisions)
            for part in self.parts
        ]
        return torch.cat(known, 1)[None]

    @property
    def num_classes(self) -> int:
        """The number of classes of all heads together."""
        return sum(part.num_classes for part in self.parts)


def _heads(head: BaseModule, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], BaseModule]]:
    """The heads inside a head, with the names of their tasks; tasks may have subtasks."""
    tasks = getattr(head, 'task_heads', None)
    if tasks is None:
        yield path, head
        return
    for name, own in tasks.items():
        yield from _heads(own, (*path, name))


def named_labels(labels: Sequence[Tensor], num_classes: int, device: torch.device) -> Tensor:
    """``(N, num_classes)`` integers, 1 for the labels that each image has.

    Args:
        labels: the indices of each image's labels, which may be none.
    """
    image = torch.arange(len(labels)).repeat_interleave(torch.tensor([len(own) for own in labels]))
    named = torch.zeros(len(labels), num_classes, dtype=torch.long, device=device)
    index = torch.cat(list(labels)).to(device, non_blocking=True)
    return named.index_put((image.to(device, non_blocking=True), index), named.new_ones(()))


def _is_labelled(sample) -> bool:
    return 'gt_label' in sample or 'gt_score' in sample


def _index(positions: list[int], device: torch.device) -> Tensor:
    return torch.tensor(positions).to(device, non_blocking=True)
