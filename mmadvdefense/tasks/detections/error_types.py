"""Types of detection errors (TIDE: Bolya et al., ECCV 2020, section 2.2), counted image by image."""

from __future__ import annotations

import torch
from torch import Tensor

from ..sample_scores import OVERLAP
from .tables import iou

# In the order of the tables. The first is the number of detections, right or wrong; of the errors, a detection has one
# type at most; the last type is that of objects.
ERROR_TYPES = ('detections', 'class', 'localisation', 'both', 'duplicate', 'background', 'missed')
# Detections that overlap every object less than this are on background.
_BACKGROUND = 0.1


def error_counts(
    boxes: Tensor, labels: Tensor, finds: Tensor, excused: Tensor, true_boxes: Tensor, true_labels: Tensor
) -> Tensor:
    """How many detections an image has, and how many errors of each type.

    For a detection that finds no object, with the highest IoU ``c`` with an object of its class and ``o`` with an
    object of another class: localisation if ``0.1 <= c < 0.5``; else class if ``o >= 0.5``; else duplicate if ``c >=
    0.5`` (another detection found that object); else background if both are below 0.1; else both. An object is missed
    if no detection finds it and none has an error of class or localisation on it. The order is that of the authors'
    code, for detections to which several definitions apply.

    Args:
        boxes: ``(P, 4)`` corners of the detections that count.
        labels: ``(P,)`` their classes.
        finds: ``(P,)`` the object that each detection finds, -1 for none.
        excused: ``(P,)`` bool, detections on ignored boxes, which are no error.
        true_boxes: ``(T, 4)``.
        true_labels: ``(T,)``.

    Returns:
        ``(7,)`` numbers in the order of :data:`ERROR_TYPES`.
    """
    wrong = (finds < 0) & ~excused
    overlaps = iou(boxes[:, None], true_boxes)
    same = labels[:, None] == true_labels
    # One more column, so that there is a maximum without objects.
    own, other = (torch.cat([overlaps.where(of, 0), overlaps.new_zeros(len(boxes), 1)], 1) for of in (same, ~same))
    (best_own, own_object), (best_other, other_object) = own.max(1), other.max(1)
    localisation = wrong & (best_own >= _BACKGROUND) & (best_own < OVERLAP)
    left = wrong & ~localisation
    of_class = left & (best_other >= OVERLAP)
    left = left & ~of_class
    duplicate = left & (best_own >= OVERLAP)
    left = left & ~duplicate
    background = left & (best_own < _BACKGROUND) & (best_other < _BACKGROUND)
    both = left & ~background
    accounted = torch.zeros(len(true_boxes) + 1, dtype=torch.bool)
    accounted[finds[finds >= 0]] = True
    accounted[own_object[localisation]] = True
    accounted[other_object[of_class]] = True
    missed = (~accounted[:-1]).sum()
    types = ((finds >= 0) | ~excused, of_class, localisation, both, duplicate, background)
    return torch.stack([*(flags.sum() for flags in types), missed])
