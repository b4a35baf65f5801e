"""Scores of two classes from a score that a host compares with a threshold."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import UsageError


def two_class_scores(scores: Tensor, boundary: float | Tensor, dim: int = 1) -> Tensor:
    """Class scores of "no" and "yes": 0, and how far the host's score lies above the boundary.

    If the threshold is one half, their softmax is the host's sigmoid; whatever it is, the second is larger where the
    host says yes.

    Args:
        scores: ``(N, ...)``.
        boundary: the score above which the host says yes.
        dim: the dimension of the two classes in the result.
    """
    above = scores - boundary
    return torch.stack([torch.zeros_like(above), above], dim)


def threshold_logit(threshold: float, owner: str) -> float:
    """The score at which a sigmoid reaches a threshold.

    Raises:
        ValueError: for a threshold that a sigmoid never crosses.
    """
    if not 0 < threshold < 1:
        raise UsageError(
            f'{owner} compares a sigmoid with the threshold {threshold}, which it never crosses: the '
            'prediction never changes; set a threshold between 0 and 1'
        )
    return math.log(threshold / (1 - threshold))
