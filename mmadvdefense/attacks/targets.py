"""Which wrong class a targeted attack moves towards.

Class scores are ``(N, K, ...)``, labels ``(N, ...)``: one an image, or one a pixel. What has a label outside the
model's classes (padding, void) keeps it.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Callable

from torch import Tensor

from ..randomness import Randomness


def random_target(logits: Tensor, labels: Tensor, randomness: Randomness) -> Tensor:
    """A class drawn uniformly from all but the true one; for pixels, how far on in the list of classes, one an image.

    So two pixels of one class keep a class in common.
    """
    num_classes = logits.shape[1]
    draw = randomness.uniform_like(logits.new_zeros(len(labels), 1)).view(-1, *[1] * (labels.ndim - 1))
    target = (labels + 1 + (draw * (num_classes - 1)).long()) % num_classes
    return target.where(_is_class(labels, num_classes), labels)


def least_likely_target(logits: Tensor, labels: Tensor, randomness: Randomness) -> Tensor:
    """The wrong class that the model finds least likely on the clean image."""
    known = _is_class(labels, logits.shape[1])
    return _without_truth(logits, labels, float('inf')).argmin(1).where(known, labels)


def top_wrong_targets(logits: Tensor, labels: Tensor, number: int) -> Tensor:
    """The wrong classes that the model finds most likely on the clean image, best first.

    Align, section 4.10, after AutoAttack (Croce and Hein, ICML 2020), which takes 9.

    Returns:
        ``(number, N, ...)``; fewer if the model has fewer wrong classes.
    """
    number = min(number, logits.shape[1] - 1)
    targets = _without_truth(logits, labels, -float('inf')).topk(number, 1).indices.transpose(0, 1)
    return targets.where(_is_class(labels, logits.shape[1]), labels)


def top_wrong_target(logits: Tensor, labels: Tensor, randomness: Randomness) -> Tensor:
    """The wrong class that the model finds most likely on the clean image."""
    return top_wrong_targets(logits, labels, 1)[0]


def ranked_wrong_target(logits: Tensor, labels: Tensor, randomness: Randomness, rank: int) -> Tensor:
    """The wrong class that the model finds the ``rank``-th most likely on the clean image, counted from 1.

    Raises:
        ValueError: if the model has fewer wrong classes.
    """
    if rank >= logits.shape[1]:
        raise ValueError(f'top_wrong_{rank}: the model has {logits.shape[1] - 1} wrong classes')
    return top_wrong_targets(logits, labels, rank)[rank - 1]


def _is_class(labels: Tensor, num_classes: int) -> Tensor:
    return (labels >= 0) & (labels < num_classes)


def _without_truth(logits: Tensor, labels: Tensor, score: float) -> Tensor:
    index = labels.where(_is_class(labels, logits.shape[1]), 0).unsqueeze(1)
    return logits.scatter(1, index, score)


TARGETS: dict[str, Callable[[Tensor, Tensor, Randomness], Tensor]] = {
    'random': random_target,
    'least_likely': least_likely_target,
    'top_wrong': top_wrong_target,
}


def target_choice(name: str) -> Callable[[Tensor, Tensor, Randomness], Tensor]:
    """How a target class is chosen: a name of :data:`TARGETS`, or ``'top_wrong_2'`` for the second most likely, etc.

    Raises:
        ValueError: for another name.
    """
    ranked = re.fullmatch(r'top_wrong_([1-9]\d*)', str(name))
    if name not in TARGETS and not ranked:
        known = [*TARGETS, 'top_wrong_2', 'top_wrong_3', '...']
        raise ValueError(f'unknown choice of target {name!r}; known: {", ".join(known)}')
    return TARGETS[name] if name in TARGETS else partial(ranked_wrong_target, rank=int(ranked[1]))
