"""What a detector's candidate boxes say of each object of the ground truth."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..sample_scores import OVERLAP
from .candidates import Candidates
from .tables import BoxTable, nearest_objects


def log_score(scores: Tensor) -> Tensor:
    """Logarithm of scores in 0-1, finite for 0."""
    return scores.clamp(min=torch.finfo(scores.dtype).tiny).log()


def log_opposite(scores: Tensor) -> Tensor:
    """Logarithm of one minus scores in 0-1, finite for 1."""
    return torch.log1p(-scores.clamp(max=1 - torch.finfo(scores.dtype).eps))


def object_scores(found: Candidates, objects: BoxTable, num_classes: int) -> Tensor:
    """The logarithm of the largest score of each class among the boxes on each object, ``(G, K)``.

    A box is on the object that it overlaps most, if their IoU is at least 0.5. Where no box of a class is on an object,
    the value is that of a score of 0.
    """
    scores = log_score(found.scores.detach())
    which, near = nearest_objects(found, objects, OVERLAP)
    lowest = math.log(torch.finfo(scores.dtype).tiny)
    table = scores.new_full((len(objects.labels) * num_classes,), lowest)
    if len(table):
        cells = which * num_classes + found.labels
        table = table.scatter_reduce(0, cells, scores.where(near, lowest), 'amax')
    return table.view(-1, num_classes)
