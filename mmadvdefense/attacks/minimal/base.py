"""What attacks that look for the smallest change share: class scores, which pixels err, and which images are left."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from ...errors import UsageError
from ...tasks import DetectionTask
from ...validation import check_integer
from ..batch import AttackBatch
from ..source import AttackSource

# The attack success rate that minimal perturbations of segmentors are compared at (Rony et al., CVPR 2023).
SUCCESS_THRESHOLD = 0.99


def check_minimal_settings(name: str, success_threshold: float, **counts: int) -> None:
    """Raise a ``ValueError`` for a share outside of (0, 1], or for a count that is not an integer >= 1."""
    if not 0 < success_threshold <= 1:
        raise UsageError(f'{name}: success_threshold is a share of the pixels in (0, 1], got {success_threshold}')
    check_integer(name, **counts)


def check_class_scores(name: str, source: AttackSource) -> None:
    """Raise a ``ValueError`` that says what to use instead, if the source has no class scores."""
    # By name, since the task of an ensemble has the name of its models'.
    if source.task.name == DetectionTask.name:
        raise UsageError(
            f'{name} needs class scores, and a detector has no one set of them; use a gradient attack on its losses: '
            "dict(type='PGD', objective='cls'), 'loc' or 'cls+loc'"
        )


def class_scores(images: Tensor, batch: AttackBatch) -> tuple[Tensor, Tensor, Tensor]:
    """What the source makes of images, whether it scores an image or each of its pixels.

    Args:
        images: ``(N, 3, H, W)`` pixels 0-255.

    Returns:
        Class scores ``(N, K, P)``, labels (of a targeted attack its targets) ``(N, P)``, and whether each belongs to a
        class ``(N, P)``. P is 1 for classifiers.

    Raises:
        ValueError: if the source has a single score.
    """
    task = batch.source.task
    labels = batch.labels if batch.target is None else batch.target
    logits = task.fit(batch.logits(batch.pixels(images)), labels)
    if logits.shape[1] < 2:
        raise UsageError(f'{type(batch.source.model).__name__} has a single class score, so there is no other class')
    labels = labels.reshape(len(labels), -1)
    known = torch.ones_like(labels, dtype=torch.bool) if task.ignore_index is None else labels != task.ignore_index
    return logits.flatten(2) if logits.ndim > 2 else logits.unsqueeze(2), labels, known


def enough(reached: Tensor, known: Tensor, share: float) -> Tensor:
    """Whether a share of each image's known pixels has reached its goal, ``(N,)``; true where none is known."""
    return (reached & known).sum(1) >= share * known.sum(1)


class ActiveImages:
    """The images of a batch that an attack still works on.

    Attributes:
        part: the batch of these images.
        at: their positions in the batch that was given, ``(n,)``.
    """

    def __init__(self, batch: AttackBatch):
        self._batch = batch
        self.at = torch.arange(len(batch), device=batch.clean.device)
        self.part: Optional[AttackBatch] = batch.select(range(len(batch)))

    def keep(self, chosen: Tensor) -> bool:
        """Go on with the chosen ones, ``(n,)`` bool. Returns whether there are any."""
        positions = self.at[chosen].tolist()
        if len(positions) < len(self.at):
            self.close()
            self.at = self.at[chosen]
            self.part = self._batch.select(positions) if positions else None
        return bool(positions)

    def close(self) -> None:
        """Add the queries of the part to those of the batch."""
        if self.part is not None:
            self._batch.merge(self.part, self.at.tolist())
            self.part = None
