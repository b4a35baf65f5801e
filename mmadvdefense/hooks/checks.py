"""Mistakes worth finding before the first iteration."""

from __future__ import annotations

import warnings

from torch import nn

from ..attacks import Attack
from ..tasks import task_of


def check_num_classes(model: nn.Module, dataset) -> None:
    """Raise a ``ValueError`` if the data set's classes are not as many as the model says that it predicts."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    num_classes = task_of(model).dataset_classes
    if None not in (classes, num_classes) and len(classes) != num_classes:
        raise ValueError(
            f'{type(dataset).__name__} has {len(classes)} classes, {type(model).__name__} predicts {num_classes}; '
            'use the config and checkpoint of a model trained for this data set'
        )


def check_same_classes(source: nn.Module, target: nn.Module) -> None:
    """Raise a ``ValueError`` if an attack source and the target predict different numbers of classes."""
    ours, theirs = task_of(target).num_classes, task_of(source).num_classes
    if ours != theirs:
        raise ValueError(
            f'the attack source predicts {theirs} classes, the target {ours}; both must know the same data'
        )


def warn_of_unit_range(attack: Attack) -> None:
    """Warn of a budget that looks like the literature's 8/255."""
    if attack.eps is not None and 0 < attack.eps < 1:
        warnings.warn(
            f'{type(attack).__name__}: eps={attack.eps:g} is in pixels (0-255), less than one grey level; '
            f'{attack.eps:g} of the range 0-1 is eps={attack.eps * 255:g}',
            stacklevel=3,
        )
