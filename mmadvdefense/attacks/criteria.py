"""Success criteria of attacks."""

from __future__ import annotations

import torch
from torch import Tensor

from ..pixels import Pixels
from .batch import AttackBatch
from .ensemble import members
from .objectives import is_labelled


def is_misclassified(logits: Tensor, batch: AttackBatch, success_threshold: float = 1.0) -> Tensor:
    """Whether each image is assigned a wrong class or, for targeted attacks, the target class.

    Args:
        logits: ``(N, K)``, or ``(N, K, h, w)`` for a segmentor.
        batch: provides labels or targets.
        success_threshold: required share of the labelled pixels of an image.

    Returns:
        ``(N,)`` bool, false if no pixel is labelled.
    """
    task = batch.source.task
    labels = batch.labels if batch.target is None else batch.target
    same = task.fit(logits, labels).argmax(1) == labels
    hits = ~same if batch.target is None else same
    return meets_threshold(hits, is_labelled(labels, task.ignore_index), success_threshold)


def is_fooled(images: Pixels, batch: AttackBatch, success_threshold: float = 1.0) -> Tensor:
    """Whether each image fools the model; one query.

    Where class scores decide, that is :func:`is_misclassified`. A detector is fooled if the F1 of its detections is
    below ``1 - success_threshold``, or 0; never by an image without objects.

    Args:
        images: pixels in the layout of the batch.
        batch: provides labels or targets.
        success_threshold: for segmentation as in :func:`is_misclassified`; for detection the loss of F1.

    Returns:
        ``(N,)`` bool.
    """
    if batch.source.task.has_class_scores:
        return is_misclassified(batch.logits(images), batch, success_threshold)
    batch.count()
    score = batch.source.prediction_scores(images, batch.samples, batch.randomness)
    # Not a number, for images without objects, compares false.
    return (score < 1 - success_threshold) | (score == 0)


def misleads_all_sources(images: Tensor, batch: AttackBatch) -> Tensor:
    """Whether all source models misclassify each image in the sense of :func:`is_misclassified`; one query.

    Args:
        images: ``(N, 3, H, W)`` pixels 0-255; the source must be a classifier.

    Returns:
        ``(N,)`` bool.
    """
    pixels = batch.pixels(images)
    return torch.stack([is_misclassified(view.logits(pixels), view) for view in members(batch)]).all(0)


def meets_threshold(hits: Tensor, labelled: Tensor, success_threshold: float) -> Tensor:
    """Whether the share of hits among each image's labelled pixels reaches the threshold.

    Args:
        hits: ``(N, ...)`` bool.
        labelled: ``(N, ...)`` bool, pixels that belong to a class; for a classifier one flag per image.
        success_threshold: the share, in (0, 1].

    Returns:
        ``(N,)`` bool, false if no pixel is labelled.
    """
    count, total = (flags.view(len(flags), -1).sum(1) for flags in (hits & labelled, labelled))
    return count / total.clamp(min=1) >= success_threshold
