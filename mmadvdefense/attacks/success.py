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
