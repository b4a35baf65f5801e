"""How correct a detector is on one image, and what its data set says not to count."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .boxes import as_tensor, is_annotated
from .detections.error_types import ERROR_TYPES, error_counts
from .frames import placement
from .sample_scores import CONFIDENCE, f1_of, match_boxes


def ignored_are_crowds(dataset: Any) -> bool:
    """Whether a data set's ignored boxes are crowds (COCO and what is stored like it) or difficult objects (VOC's XML).

    The hosts' metrics treat them differently. A detection lies on a crowd if most of its own area does, since the box
    of a crowd holds many objects; it lies on a difficult object if the two boxes overlap as for any other object.
    """
    while hasattr(dataset, 'dataset') or hasattr(dataset, 'datasets'):
        # Wrappers (repeated, concatenated, class-balanced data sets) hold the data set that was annotated.
        dataset = dataset.dataset if hasattr(dataset, 'dataset') else dataset.datasets[0]
    return all(base.__name__ != 'XMLDataset' for base in type(dataset).__mro__)


def detection_score(
    sample: Any, annotations_in_input_frame: bool, crowds: bool, has_classes: bool = True
) -> tuple[float, Tensor]:
    """F1 of an image's boxes in 0-1, and the number of its errors of each type; NaN where there is no ground truth.

    Without objects, there is no F1, but there are detections on background.

    Args:
        sample: the host's, with ``pred_instances`` in the frame of the file.
        annotations_in_input_frame: as :func:`mmadvdefense.tasks.annotations_in_input_frame` says.
        crowds: as :func:`ignored_are_crowds` says.
        has_classes: whether a box must have the class of the object that it finds.
    """
    if not is_annotated(sample):
        return math.nan, torch.full((len(ERROR_TYPES),), math.nan)
    said, true = sample.pred_instances, sample.gt_instances
    said = said[said.scores >= CONFIDENCE]
    ignored = sample.get('ignored_instances', true[:0])
    if 'bboxes' not in ignored:
        ignored = true[:0]
    # Predictions are in the frame of the file; flips are not undone.
    factor, at = torch.ones(4), torch.zeros(4)
    if annotations_in_input_frame:
        factor = torch.tensor(sample.get('scale_factor', (1.0, 1.0))[:2]).repeat(2)
        corner = placement(sample)
        at = at if corner is None else torch.from_numpy(corner).float().repeat(2)
    boxes, true_boxes, ignored_boxes = (_corners(part.bboxes) for part in (said, true, ignored))
    labels = [part.labels.cpu() if has_classes else torch.zeros(len(part)) for part in (said, true, ignored)]
    true_boxes, ignored_boxes = ((corners - at) / factor for corners in (true_boxes, ignored_boxes))
    finds, excused = match_boxes(boxes, labels[0], true_boxes, labels[1], ignored_boxes, labels[2], crowds)
    errors = error_counts(boxes, labels[0], finds, excused, true_boxes, labels[1])
    return f1_of(finds, excused, len(true_boxes)) if len(true_boxes) else math.nan, errors.double()


def _corners(boxes: Any) -> Tensor:
    return as_tensor(boxes).float().cpu()
