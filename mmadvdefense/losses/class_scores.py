"""What losses on the target's class scores share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import UsageError
from .base import PurifierBatch, PurifierLoss


class Scores(NamedTuple):
    """Log-probabilities of what has a class: images, pixels or boxes.

    Attributes:
        clean: of purified clean images, ``(M, K)``.
        adversarial: of purified adversarial images, ``(M, K)``.
        labels: ``(M,)``, a class everywhere.
        known: ``(M,)`` bool, whether that class is the ground truth, rather than a stand-in for none.
    """

    clean: Tensor
    adversarial: Tensor
    labels: Tensor
    known: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """The mean of ``(M,)`` values over what has a ground truth; 0 if nothing has."""
        return values.where(self.known, 0).sum() / self.known.sum().clamp(min=1)


class ClassScoreLoss(PurifierLoss):
    """A loss on the softmax of the target's class scores, which a hook reads with ``feature_layer='logits'``.

    For classifiers with one label per image, segmentors, and detectors for which ``feature_layer`` names a layer with
    one map per class. The true class of each vector is needed, so both halves of a batch must be purified.

    Args:
        loss_weight: as in :class:`PurifierLoss`.
        ignore_index: label of vectors without a class.

    Attributes:
        num_classes: the number of classes K; set by the training hook.
        exclusive: whether only one class is right, as softmax assumes; set by the training hook.
    """

    def __init__(self, loss_weight: float = 1.0, ignore_index: int = -100) -> None:
        super().__init__(loss_weight)
        self.ignore_index = ignore_index
        self.num_classes: int | None = None
        self.exclusive: bool | None = None

    def scores(self, batch: PurifierBatch) -> Scores:
        """Read both halves.

        Raises:
            ValueError: if the features are no class scores, or several classes may be right at once.
        """
        name = type(self).__name__
        if self.exclusive is False:
            raise UsageError(
                f'{name} needs one class per image, pixel or box, but this model decides on several labels'
            )
        clean, adversarial = (batch.class_features(half) for half in ('purified_clean', 'purified_adversarial'))
        if self.num_classes not in (None, clean.shape[1]):
            raise UsageError(
                f'{name} needs class scores, {self.num_classes} for each vector, but the features have length '
                f"{clean.shape[1]}: set PurifierTrainHook(feature_layer='logits')"
            )
        return self.prepared(clean, adversarial, batch.labels)

    def prepared(self, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Scores:
        """Log-probabilities of logits ``(M, K)``, and labels ``(M,)`` with a stand-in where there is none."""
        known = labels != self.ignore_index
        # Half precision would lose the sum over the pixels of a batch.
        clean, adversarial = (
            logits.to(torch.promote_types(logits.dtype, torch.get_default_dtype())).log_softmax(1)
            for logits in (clean, adversarial)
        )
        return Scores(clean, adversarial, labels.long().where(known, 0), known)


def at(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """The log-probability of each label, ``(M,)``."""
    return log_probabilities.gather(1, labels[:, None]).squeeze(1)


def divergence(clean: Tensor, adversarial: Tensor) -> Tensor:
    """KL(clean || adversarial) of log-probabilities ``(M, K)``, ``(M,)``."""
    return (clean.exp() * (clean - adversarial)).sum(1)
