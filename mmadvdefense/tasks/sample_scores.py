"""How correct a model is on single images, which a metric over a data set does not tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

import torch
from torch import Tensor

from ..errors import UsageError

# The least confidence of a detection that counts, and the least overlap at which it finds an object.
CONFIDENCE = 0.3
OVERLAP = 0.5
# From this score on, an image counts as correct.
CORRECT_FROM = 0.5
# Prefix of the columns that count errors.
ERRORS = 'errors/'


class NotScored(UsageError):
    """The images of a model are not scored one by one; the message says why. The host's own metric still works."""


@dataclass(frozen=True)
class SampleScores:
    """How correct the model is on each image of a batch; tensors are on the CPU.

    Attributes:
        score: ``(N,)`` in 0-1: classification 1 or 0; segmentation the mean IoU over the classes in the image's ground
            truth; detection the F1 of boxes with a confidence of at least 0.3, found at an IoU of at least 0.5. NaN
            where there is no ground truth: no label, no labelled pixel, no box.
        predicted: ``(N,)``, the predicted class of each image, if the task has one class per image.
        label: ``(N,)``, its true class, if the task has one class per image; NaN without ground truth.
        errors: for detection, ``(N,)`` by type: how many errors of each type of TIDE an image has, NaN without ground
            truth (see :func:`mmadvdefense.tasks.detections.error_types.error_counts`).
        counts: :func:`pixel_counts` of each image, ``(N, 3, K)``, if pixels have classes.
    """

    score: Tensor
    predicted: Optional[Tensor] = None
    label: Optional[Tensor] = None
    errors: Mapping[str, Tensor] = field(default_factory=dict)
    counts: Optional[Tensor] = None

    @property
    def correct(self) -> Tensor:
        """``(N,)`` bool, whether the image counts as correct: its score is at least one half."""
        return self.score >= CORRECT_FROM

    @property
    def decision(self) -> Tensor:
        """``(N,)`` integers that an attack may change: the predicted class, or else whether the image is correct."""
        return self.correct.long() if self.predicted is None else self.predicted

    def columns(self) -> dict[str, Tensor]:
        """``score``, ``correct``, ``decision``, ``label`` and ``errors/...``, ``(N,)`` each.

        Floats, NaN for images without ground truth. ``label`` is there if images have one, ``errors/...`` if the task
        has them.
        """
        correct = self.correct.double().masked_fill(self.score.isnan(), math.nan)
        decision = correct if self.predicted is None else self.predicted.double()
        errors = {f'{ERRORS}{name}': number.double() for name, number in self.errors.items()}
        label = {} if self.label is None else {'label': self.label.double()}
        return {'score': self.score.double(), 'correct': correct, 'decision': decision, **label, **errors}

    @classmethod
    def unknown(cls, number: int) -> SampleScores:
        """The scores of images that cannot be scored."""
        return cls(torch.full((number,), math.nan, dtype=torch.float64))


def pixel_counts(predicted: Tensor, labels: Tensor, image: Tensor, num_images: int, num_classes: int) -> Tensor:
    """For each image, how many labelled pixels are of each class by prediction and truth, by truth, and by prediction.

    Args:
        predicted: ``(P,)`` class of every labelled pixel of all images.
        labels: ``(P,)`` their true class.
        image: ``(P,)`` which image each pixel is from.
        num_images: N.
        num_classes: K, of the model.

    Returns:
        ``(N, 3, K)``, float64.
    """

    def count(classes: Tensor, image: Tensor) -> Tensor:
        cells = torch.bincount(image * num_classes + classes, minlength=num_images * num_classes)
        return cells.view(num_images, num_classes).double()

    same = predicted == labels
    return torch.stack([count(labels[same], image[same]), count(labels, image), count(predicted, image)], 1)


def mean_iou(counts: Tensor) -> Tensor:
    """Mean IoU over the classes in the ground truth, ``(N,)``; NaN where nothing is labelled.

    Args:
        counts: of :func:`pixel_counts`, ``(N, 3, K)``.
    """
    both, true, said = counts.unbind(1)
    present = true > 0
    overlap = torch.where(present, both / (true + said - both).clamp(min=1), 0)
    share = overlap.sum(1) / present.sum(1).clamp(min=1)
    return torch.where(present.any(1), share, math.nan)


def box_f1(
    boxes: Tensor,
    labels: Tensor,
    true_boxes: Tensor,
    true_labels: Tensor,
    ignored: Tensor,
    ignored_labels: Tensor,
    crowds: bool = True,
) -> float:
    """F1 of an image's boxes, NaN where there is nothing to find.

    Each true box is found by at most one box of its class, and as many are found as possible. A box that finds nothing
    and lies on an ignored box of its class is not counted.

    Args:
        boxes: ``(P, 4)``, corners of the boxes that were predicted with enough confidence.
        labels: ``(P,)`` their classes.
        true_boxes: ``(T, 4)``.
        true_labels: ``(T,)``.
        ignored: ``(I, 4)``, crowds or difficult objects.
        ignored_labels: ``(I,)``.
        crowds: whether they are crowds, on which a box lies if at least half of its own area does (COCO, whose
            ``iscrowd`` boxes hold many objects), or difficult objects, on which one lies by its IoU (VOC).
    """
    if not len(true_boxes):
        return math.nan
    finds, excused = match_boxes(boxes, labels, true_boxes, true_labels, ignored, ignored_labels, crowds)
    return f1_of(finds, excused, len(true_boxes))


def f1_of(finds: Tensor, excused: Tensor, number: int) -> float:
    """F1 of boxes that :func:`match_boxes` has matched with a number of true boxes, at least one."""
    hits = finds >= 0
    return 2 * int(hits.sum()) / (int((hits | ~excused).sum()) + number)


def match_boxes(
    boxes: Tensor,
    labels: Tensor,
    true_boxes: Tensor,
    true_labels: Tensor,
    ignored: Tensor,
    ignored_labels: Tensor,
    crowds: bool = True,
) -> tuple[Tensor, Tensor]:
    """Which true box each box finds, ``(P,)``, -1 for none, and which are excused, ``(P,)`` bool.

    The arguments are those of :func:`box_f1`.
    """
    from mmdet.structures.bbox import bbox_overlaps
    from scipy.optimize import linear_sum_assignment

    may_find = (bbox_overlaps(boxes, true_boxes) >= OVERLAP) & (labels[:, None] == true_labels)
    rows, columns = linear_sum_assignment(may_find.double().numpy(), maximize=True)
    finds = torch.full((len(boxes),), -1)
    finds[rows] = torch.from_numpy(columns).where(may_find[rows, columns], -1)
    # 'iof' divides by the area of the first box, the detection.
    overlaps = bbox_overlaps(boxes, ignored, mode='iof' if crowds else 'iou')
    return finds, ((overlaps >= OVERLAP) & (labels[:, None] == ignored_labels)).any(1)
