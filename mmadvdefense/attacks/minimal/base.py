"""Common parts of minimum-norm attacks: class scores, stopping criterion, active images, and the bounded form."""

from __future__ import annotations

from typing import Optional, Union

import torch
from torch import Tensor

from ...errors import StateError, UsageError
from ...validation import check_integer
from ..base import Attack
from ..batch import AttackBatch
from ..criteria import meets_threshold
from ..objectives import is_labelled
from ..source import AttackSource

# The attack success rate at which minimum-norm attacks on segmentors are compared (Rony et al., CVPR 2023).
SUCCESS_THRESHOLD = 0.99


def check_minimal_settings(name: str, success_threshold: float, **counts: int) -> None:
    """Raise a ``ValueError`` for a threshold outside (0, 1], or for a count that is not an integer >= 1."""
    if not 0 < success_threshold <= 1:
        raise UsageError(f'{name}: success_threshold must be a share of the pixels in (0, 1], got {success_threshold}')
    check_integer(name, **counts)


def check_class_scores(name: str, source: AttackSource) -> None:
    """Raise a ``ValueError`` that suggests an alternative, if the source has no class scores."""
    source.task.require_class_scores(
        f'{name} needs class scores, which classifiers and segmentors have',
        "use a gradient attack on its losses: dict(type='PGD', objective='cls'), 'loc' or 'cls+loc'",
    )


def class_scores(images: Tensor, batch: AttackBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Class scores and labels in a common shape for image-wise and pixel-wise scores.

    Args:
        images: ``(N, 3, H, W)`` pixels 0-255.

    Returns:
        Class scores ``(N, K, P)``, labels (targets if targeted) ``(N, P)``, and whether each denotes a class ``(N,
        P)``. P is 1 for classifiers.

    Raises:
        ValueError: if the source has a single class score.
    """
    task = batch.source.task
    labels = batch.labels if batch.target is None else batch.target
    logits = task.fit(batch.logits(batch.pixels(images)), labels)
    if logits.shape[1] < 2:
        raise UsageError(f'{type(batch.source.model).__name__} has a single class score, so there is no other class')
    labels = labels.reshape(len(labels), -1)
    known = is_labelled(labels, task.ignore_index)
    return logits.flatten(2) if logits.ndim > 2 else logits.unsqueeze(2), labels, known


def is_done(reached: Tensor, known: Tensor, success_threshold: float) -> Tensor:
    """Whether enough of the labelled pixels of each image have reached the goal, ``(N,)`` bool.

    Args:
        reached: ``(N, P)`` bool.
        known: ``(N, P)`` bool, pixels that belong to a class. An image without any is done.
        success_threshold: the required share.
    """
    return meets_threshold(reached, known, success_threshold) | ~known.any(1)


class ActiveImages:
    """The images of a batch that an attack is still working on.

    Attributes:
        part: the batch of the active images.
        at: their positions in the original batch, ``(n,)``.
    """

    def __init__(self, batch: AttackBatch):
        self._batch = batch
        self.at = torch.arange(len(batch), device=batch.clean.device)
        self._part: Optional[AttackBatch] = batch.select(range(len(batch)))

    @property
    def part(self) -> AttackBatch:
        if self._part is None:
            raise StateError('no active images are left')
        return self._part

    def keep(self, chosen: Tensor) -> bool:
        """Keep only the chosen images, ``(n,)`` bool; return whether any are left."""
        positions = self.at[chosen].tolist()
        if len(positions) < len(self.at):
            self.close()
            self.at = self.at[chosen]
            self._part = self._batch.select(positions) if positions else None
        return bool(positions)

    def close(self) -> None:
        """Add the queries of the part to those of the batch."""
        if self._part is not None:
            self._batch.merge(self._part, self.at.tolist())
            self._part = None


class MinimumNormAttack(Attack):
    """A minimum-norm attack that with ``eps`` takes its bounded form, the one of robustness tables.

    Args:
        eps: radius of the ball in pixels (0-255) that the result is confined to; None for the minimum-norm form.
        norm: the norm to minimize, ``'l2'`` or ``'linf'``.
        targeted: False, or how the target class is chosen, as for every attack.
        steps: maximum number of steps.
        success_threshold: share of the labelled pixels of an image that must be wrong (targeted: in the target class);
            for segmentors only.
        fill: scale perturbations smaller than ``eps`` up to that size.

    Raises:
        ValueError: for a setting out of range, or ``fill`` without ``eps``.
    """

    def __init__(
        self,
        eps: Optional[float],
        norm: str,
        targeted: Union[bool, str],
        steps: int,
        success_threshold: float,
        fill: bool,
    ):
        super().__init__(eps, norm, targeted)
        name = type(self).__name__
        if fill and eps is None:
            raise UsageError(f'{name}: fill needs the radius eps of a ball')
        check_minimal_settings(name, success_threshold, steps=steps)
        self.steps = int(steps)
        self.success_threshold = success_threshold
        self.fill = fill
        self.stochastic = self.targeted == 'random'

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        check_class_scores(type(self).__name__, source)

    def details(self) -> list[str]:
        return [*super().details(), *([] if self.eps is None else ['scaled to eps' if self.fill else 'projected'])]

    def filled(self, images: Tensor, clean: Tensor) -> Tensor:
        """With ``fill``, scale perturbations smaller than ``eps`` up to it; unchanged images stay unchanged."""
        if not self.fill:
            return images
        delta = images - clean
        size = self.ball.size(delta)
        factor = torch.where(size > 0, self.ball.eps / size, 1).clamp(min=1)
        return clean + factor.view(-1, 1, 1, 1) * delta
