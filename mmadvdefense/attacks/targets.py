"""Choice of the target class of a targeted attack.

Class scores are ``(N, K, ...)``, labels ``(N, ...)``: one per image, or one per pixel. A label outside the model's
classes (padding, void) is kept. ``classes`` are the indices that can be targets, from the task's ``target_classes``;
None for all K. An ignored class among the K is never a target, and pixels with that label have none.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Callable, Optional, Union

import torch
from torch import Tensor

from ..errors import UsageError
from ..randomness import Randomness


def random_target(logits: Tensor, labels: Tensor, randomness: Randomness, classes: Optional[Tensor] = None) -> Tensor:
    """A class drawn uniformly from all wrong classes.

    For segmentation, one cyclic shift of the classes is drawn per image, so that pixels of one class share a target.
    """
    classes = _mask(logits, classes)
    draw = randomness.uniform_like(logits.new_zeros(len(labels), 1)).view(-1, *[1] * (labels.ndim - 1))
    number = classes.sum(1)
    known, index = _known(labels, classes)
    place = _at(classes.cumsum(1) - 1, index)
    target = (place + 1 + (draw * (number - 1)).long()) % number
    in_order = (~classes).long().argsort(dim=1, stable=True)
    return _at(in_order, target.unsqueeze(1)).where(known, labels)


def least_likely_target(
    logits: Tensor, labels: Tensor, randomness: Randomness, classes: Optional[Tensor] = None
) -> Tensor:
    """The wrong class with the lowest score on the clean image."""
    known, others = _wrong(logits, labels, classes, float('inf'))
    return others.argmin(1).where(known, labels)


def top_wrong_targets(logits: Tensor, labels: Tensor, number: int, classes: Optional[Tensor] = None) -> Tensor:
    """The wrong classes with the highest scores on the clean image, best first.

    Align, section 4.10, following AutoAttack (Croce and Hein, ICML 2020), which uses 9.

    Returns:
        ``(number, N, ...)``; fewer if the model has fewer wrong classes. If some labels have fewer candidates than
        others, their best one is repeated in place of the missing ones.
    """
    known, others = _wrong(logits, labels, classes, -float('inf'))
    most = logits.shape[1] if classes is None else int(classes.sum(1).max())
    scores, targets = others.topk(min(number, most - 1), 1)
    targets = targets.where(scores > -float('inf'), targets[:, :1]).transpose(0, 1)
    return targets.where(known, labels)


def top_wrong_target(
    logits: Tensor, labels: Tensor, randomness: Randomness, classes: Optional[Tensor] = None
) -> Tensor:
    """The wrong class with the highest score on the clean image."""
    return top_wrong_targets(logits, labels, 1, classes)[0]


def ranked_wrong_target(
    logits: Tensor, labels: Tensor, randomness: Randomness, classes: Optional[Tensor] = None, *, rank: int
) -> Tensor:
    """The wrong class with the ``rank``-th highest score on the clean image, counted from 1.

    Raises:
        ValueError: if the model has fewer wrong classes.
    """
    targets = top_wrong_targets(logits, labels, rank, classes)
    if len(targets) < rank:
        raise UsageError(f'top_wrong_{rank}: the model has {len(targets)} wrong classes')
    return targets[rank - 1]


def fixed_target(
    logits: Tensor, labels: Tensor, randomness: Randomness, classes: Optional[Tensor] = None, *, target: int
) -> Tensor:
    """One class for all; what belongs to it already keeps it."""
    known, _ = _known(labels, _mask(logits, classes))
    return torch.full_like(labels, target).where(known, labels)


def fixed_class(name: Union[bool, str]) -> Optional[int]:
    """The class of a choice such as ``'class_3'``; None for other choices."""
    found = re.fullmatch(r'class_(\d+)', str(name))
    return None if found is None else int(found[1])


def check_target_class(user: str, name: Union[bool, str], num_classes: Optional[int]) -> None:
    """Raise a ``ValueError``, prefixed with ``user``, if the choice of target names a class that does not exist."""
    fixed = fixed_class(name)
    if fixed is not None and num_classes is not None and fixed >= num_classes:
        raise UsageError(
            f'{user}: there is no target class {fixed}; the model has {num_classes} classes, 0 to {num_classes - 1}'
        )


def _mask(logits: Tensor, classes: Optional[Tensor]) -> Tensor:
    if classes is not None:
        return classes
    return torch.ones(1, logits.shape[1], *[1] * (logits.ndim - 2), dtype=torch.bool, device=logits.device)


def _known(labels: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each label is one of the classes, and the label as an index ``(N, 1, ...)`` into the scores."""
    inside = (labels >= 0) & (labels < classes.shape[1])
    index = labels.where(inside, 0).unsqueeze(1)
    return inside & _at(classes, index), index


def _at(table: Tensor, index: Tensor) -> Tensor:
    """The entries ``(N, ...)`` of a table ``(1, K, ...)`` at an index ``(N, 1, ...)``."""
    return table.expand(len(index), -1, *index.shape[2:]).gather(1, index).squeeze(1)


def _wrong(logits: Tensor, labels: Tensor, classes: Optional[Tensor], score: float) -> tuple[Tensor, Tensor]:
    """Whether each label is a class, and the scores with ``score`` for all classes that cannot be targets."""
    mask = _mask(logits, classes)
    known, index = _known(labels, mask)
    return known, logits.where(mask, score).scatter(1, index, score)


TARGETS: dict[str, Callable[[Tensor, Tensor, Randomness, Optional[Tensor]], Tensor]] = {
    'random': random_target,
    'least_likely': least_likely_target,
    'top_wrong': top_wrong_target,
}


def target_choice(name: str) -> Callable[[Tensor, Tensor, Randomness, Optional[Tensor]], Tensor]:
    """The target choice by name: one of :data:`TARGETS`, or ``'top_wrong_2'`` for the second most likely class, etc.

    ``'class_3'`` is class 3 for all.

    Raises:
        ValueError: for an unknown name.
    """
    fixed = fixed_class(name)
    if fixed is not None:
        return partial(fixed_target, target=fixed)
    ranked = re.fullmatch(r'top_wrong_([1-9]\d*)', str(name))
    if name in TARGETS:
        return TARGETS[name]
    if ranked is None:
        known = [*TARGETS, 'top_wrong_2', 'top_wrong_3', '...', 'class_0', 'class_1', '...']
        raise UsageError(f'unknown choice of target {name!r}; known: {", ".join(known)}')
    return partial(ranked_wrong_target, rank=int(ranked[1]))
