"""Objectives that are sums over the pixels of a segmentor's prediction."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from ...pixels import Pixels
from ...registry import OBJECTIVES
from ...tasks import Task
from ..batch import AttackBatch, RecordingBatch
from ..objectives import Objective, is_labelled


def check_pixel_classes(name: str, task: Task) -> None:
    """Raise a ``ValueError``, prefixed with the attack's ``name``, that says what is for models of another task."""
    instead = (
        'use PGD, CarliniWagner or another attack with the objectives cross_entropy or margin'
        if task.has_class_scores
        else "use PGD or another gradient attack with objective='cls', 'loc' or 'cls+loc'"
    )
    task.require_pixel_classes(name, instead)


class PixelObjective(Objective):
    """A sum over the labelled pixels of an image; pixels with the ignored label do not count.

    For a targeted attack, labels are target classes and the sign is reversed. A binary segmentor with one channel has
    the two class scores 0 and ``z``, whose softmax is the sigmoid of its channel.
    """

    def check_task(self, name: str, task: Task) -> None:
        check_pixel_classes(name, task)

    # Whether Auto-PGD can set its step sizes by the value: a loss on right pixels alone falls with success.
    sets_steps: ClassVar[bool] = False

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        return self.of(*pixel_scores(images, batch), batch)

    def of(self, scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
        """The value for class scores that are known, ``(N,)``; the arguments are those of :meth:`pixels`."""
        value = self.pixels(scores, labels.where(known, 0), known, batch)
        value = value if batch.target is None else -value
        return value.where(known, 0).flatten(1).sum(1)

    @abstractmethod
    def pixels(self, scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
        """How far each pixel is from the label, ``(N, H, W)``; larger where the label is less likely.

        Args:
            scores: class scores ``(N, K, H, W)``.
            labels: true or target classes ``(N, H, W)``, an index of a class where there is none, too.
            known: ``(N, H, W)`` bool, which pixels have a label.
            batch: the images under attack.
        """

    def strength(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """The share of pixels that are where the attack wants them: losses on the other pixels alone cannot rank."""
        return fooled_share(*pixel_scores(images, batch), batch)

    def rank(self, view: RecordingBatch) -> Optional[Tensor]:
        return fooled_pixels(view)


def pixel_scores(images: Pixels, batch: AttackBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Class scores ``(N, K, H, W)``, labels or targets ``(N, H, W)``, and which pixels have one; one query."""
    task = batch.source.task
    labels = batch.labels if batch.target is None else batch.target
    return task.fit(batch.logits(images), labels), labels, is_labelled(labels, task.ignore_index)


def is_open(scores: Tensor, labels: Tensor, batch: AttackBatch) -> Tensor:
    """Which pixels still have the true class or, in a targeted attack, not yet the target, ``(N, H, W)`` bool."""
    same = scores.argmax(1) == labels
    return same if batch.target is None else ~same


def fooled_share(scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
    """The share of each image's labelled pixels that are wrong or, in a targeted attack, at the target, ``(N,)``.

    1 for an image without labelled pixels.
    """
    left = (is_open(scores, labels, batch) & known).flatten(1).sum(1)
    return 1 - left / known.flatten(1).sum(1).clamp(min=1)


def fooled_pixels(view: RecordingBatch) -> Optional[Tensor]:
    """:func:`fooled_share` of the class scores of the last query; None if there were none."""
    if view.answer is None:
        return None
    task = view.source.task
    labels = view.labels if view.target is None else view.target
    return fooled_share(task.fit(view.answer, labels), labels, is_labelled(labels, task.ignore_index), view)


def cross_entropies(scores: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy of each pixel, ``(N, H, W)``."""
    return F.cross_entropy(scores, labels, reduction='none')


class PixelCrossEntropy(PixelObjective):
    """The cross-entropy of all pixels."""

    sets_steps = True

    def pixels(self, scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
        return cross_entropies(scores, labels)


def angular(scores: Tensor, task: Task) -> Tensor:
    """Scores whose direction tells the class: of two classes, the probabilities.

    Two scores that a host makes of one channel differ by the sign of that channel only, once their length is divided
    out, and such a loss has no gradient.
    """
    return task.probabilities(scores) if scores.shape[1] == 2 else scores


def cosine_to(scores: Tensor, labels: Tensor) -> Tensor:
    """The cosine of the angle between each pixel's scores and the one-hot label, ``(N, H, W)``."""
    length: Tensor = torch.linalg.vector_norm(scores, dim=1).clamp(min=torch.finfo(scores.dtype).tiny)
    return scores.gather(1, labels.unsqueeze(1)).squeeze(1) / length


@OBJECTIVES.register_module()
class SegPGDObjective(PixelObjective):
    """Cross-entropy with weights that move from right to wrong pixels (SegPGD, Gu et al., ECCV 2022, equations 4, 5).

    At step t of T, ``lambda = (t - 1) / (2 T)``: pixels that are still right have the weight ``1 - lambda``, wrong ones
    ``lambda``. Targeted: pixels that are not yet at the target have the weight ``1 - lambda``.
    """

    rises = False

    def pixels(self, scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
        share = batch.progress / 2
        weights = torch.full_like(scores[:, 0], share).masked_fill(is_open(scores, labels, batch), 1 - share)
        return weights.detach() * cross_entropies(scores, labels)


@OBJECTIVES.register_module()
class CosPGDObjective(PixelObjective):
    """Cross-entropy weighted with the cosine of probabilities and one-hot truth (Agnihotri et al., ICML 2024).

    The weight is a constant for the gradient: near 1 for a confident right pixel, near 0 for a confident wrong one.
    Targeted: 1 minus the cosine of probabilities and one-hot target. Probabilities are the sigmoids of a head that was
    trained with binary losses, and the softmax of all others.
    """

    rises = False

    def pixels(self, scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
        cosine = cosine_to(batch.source.task.probabilities(scores.detach()), labels)
        weights = cosine if batch.target is None else 1 - cosine
        return weights * cross_entropies(scores, labels)


@OBJECTIVES.register_module()
class CosineObjective(PixelObjective):
    """1 minus the cosine of class scores and one-hot truth (PAdam-Cos, Halmosi et al., ECCV 2024), as in their code.

    Class probabilities take the place of the scores if there are two classes.
    """

    def pixels(self, scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
        return 1 - cosine_to(angular(scores, batch.source.task), labels)


@OBJECTIVES.register_module()
class MaskedCrossEntropyObjective(PixelObjective):
    """Cross-entropy of the pixels that are still right (SEA, Croce et al., ECCV 2024); targeted: not yet at the target.

    Args:
        balanced: weight every pixel with the inverse frequency of its class, such that all classes in an image's labels
            count the same, whatever their area. The authors take the frequencies of the data set, which an attack on a
            batch does not know.
    """

    rises = False

    def __init__(self, balanced: bool = False):
        self.balanced = balanced

    def pixels(self, scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
        losses = cross_entropies(scores, labels) * is_open(scores, labels, batch)
        return losses * inverse_frequencies(labels, known, scores.shape[1]) if self.balanced else losses


def inverse_frequencies(labels: Tensor, known: Tensor, num_classes: int) -> Tensor:
    """Weights of pixels ``(N, H, W)`` whose sum is the same for each class of an image, and 1 on average.

    Args:
        labels: ``(N, H, W)`` classes.
        known: ``(N, H, W)`` bool, the pixels that count.
        num_classes: of the model.
    """
    flat, counted = labels.flatten(1), known.flatten(1)
    counts = torch.zeros(len(labels), num_classes, device=labels.device).scatter_add(1, flat, counted.float())
    present = (counts > 0).sum(1, keepdim=True).clamp(min=1)
    weights = counted.sum(1, keepdim=True) / (present * counts.clamp(min=1))
    return weights.gather(1, flat).view_as(labels)


@OBJECTIVES.register_module()
class JensenShannonObjective(PixelObjective):
    """The Jensen-Shannon divergence of a pixel's softmax and the one-hot truth (SEA, Croce et al., ECCV 2024).

    With the probability p of the true class it is ``log 2 + (p log p - (1 + p) log(1 + p)) / 2``, in 0 to log 2. Its
    gradient vanishes for p near 0 and 1: confident wrong pixels do not take over.
    """

    def pixels(self, scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
        log_p = -cross_entropies(scores, labels)
        # From log p, because the derivative of p log p is infinite where p underflows.
        p = log_p.exp()
        return math.log(2) + (p * log_p - (1 + p) * p.log1p()) / 2


@OBJECTIVES.register_module()
class MaskedSphericalObjective(PixelObjective):
    """The negative true score on the unit sphere of scores, of pixels that are still right (SEA, as released).

    Its size does not depend on how confident the model is. Class probabilities take the place of the scores if there
    are two classes.
    """

    # As in the authors' code.
    sets_steps = True

    def pixels(self, scores: Tensor, labels: Tensor, known: Tensor, batch: AttackBatch) -> Tensor:
        return -cosine_to(angular(scores, batch.source.task), labels) * is_open(scores, labels, batch)
