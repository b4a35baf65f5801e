"""Which wrong class a targeted attack moves towards."""

from __future__ import annotations

from typing import Callable

from torch import Tensor

from ..randomness import Randomness


def random_target(logits: Tensor, labels: Tensor, randomness: Randomness) -> Tensor:
    """A class drawn uniformly from all but the true one."""
    num_classes = logits.shape[1]
    draw = randomness.uniform_like(logits.new_zeros(len(labels), 1)).squeeze(1)
    return (labels + 1 + (draw * (num_classes - 1)).long()) % num_classes


def least_likely_target(logits: Tensor, labels: Tensor, randomness: Randomness) -> Tensor:
    """The wrong class that the model finds least likely on the clean image."""
    return logits.scatter(1, labels.unsqueeze(1), float('inf')).argmin(1)


TARGETS: dict[str, Callable[[Tensor, Tensor, Randomness], Tensor]] = {
    'random': random_target,
    'least_likely': least_likely_target,
}
