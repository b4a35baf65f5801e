"""When an attack on an image has done its work."""

from __future__ import annotations

import torch
from torch import Tensor

from .batch import AttackBatch
from .ensemble import members


def misled(images: Tensor, batch: AttackBatch) -> Tensor:
    """Whether every source model puts an image in a wrong class, or in its target class if there is one; one query.

    Args:
        images: ``(N, 3, H, W)`` pixels 0-255 of a classifier.

    Returns:
        ``(N,)`` bool.
    """
    pixels = batch.pixels(images)
    wrong = []
    for member in members(batch):
        predicted = member.logits(pixels).argmax(1)
        wrong.append(predicted != batch.labels if batch.target is None else predicted == batch.target)
    return torch.stack(wrong).all(0)


def is_adversarial(logits: Tensor, batch: AttackBatch, success_threshold: float = 1.0) -> Tensor:
    """Whether the model errs on each image, or says what a targeted attack wants, ``(N,)`` bool.

    Args:
        logits: ``(N, K)``, or ``(N, K, h, w)`` of a segmentor.
        batch: labels or targets of the images.
        success_threshold: of the pixels with a known label, how many must be so.
    """
    task = batch.source.task
    labels = batch.labels if batch.target is None else batch.target
    same = task.fit(logits, labels).argmax(1) == labels
    known = torch.ones_like(same) if task.ignore_index is None else labels != task.ignore_index
    hits = (same if batch.target is not None else ~same) & known
    hits, known = (flags.view(len(flags), -1).sum(1) for flags in (hits, known))
    return hits / known.clamp(min=1) >= success_threshold
