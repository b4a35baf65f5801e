"""Checks that find mistakes before the first iteration."""

from __future__ import annotations

import math
import warnings
from typing import Iterable, Optional, Sequence

from mmengine.model import BaseTTAModel
from torch import nn

from ..attacks import Attack, AttackSource, GaussianNoise
from ..errors import UsageError
from ..pixels import check_channels
from ..purifiers import Purifier, SmoothedPurifier
from ..tasks import Task, task_of


def check_num_classes(model: nn.Module, dataset) -> None:
    """Raise a :class:`~mmadvdefense.errors.UsageError` if data set and model have different numbers of classes."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes')
    num_classes = task_of(model).dataset_classes
    if classes is not None and num_classes is not None and len(classes) != num_classes:
        raise UsageError(
            f'{type(dataset).__name__} has {len(classes)} classes, {type(model).__name__} predicts {num_classes}; '
            'use the config and checkpoint of a model trained for this data set'
        )


def check_same_classes(source: nn.Module, target: nn.Module, attack: Optional[Attack] = None) -> None:
    """Check that an attack source and the target have the same task and number of classes.

    Args:
        source: the model that is attacked.
        target: the model that is defended.
        attack: what runs on the source: one that uses features only may take them from a model trained on other data,
            or from a classifier whatever the target's task is.

    Raises:
        UsageError: if they differ.
    """
    needs_labels = attack is None or attack.needs_labels
    ours, theirs = task_of(target), task_of(source)
    if not ours.is_like(theirs) and (needs_labels or not theirs.lends_features):
        raise UsageError(
            f'the attack source is a model for {theirs.name}, the target one for {ours.name}; only '
            'attacks on features (SSP, FDA, DR, TAP without label_weight) take a source of another task, a classifier'
        )
    if not needs_labels:
        return
    reason = '' if attack is None else f', since {type(attack).__name__} asks for the true class'
    if getattr(source, 'head', source) is None:
        raise UsageError(
            f'the attack source {type(source).__name__} has no head and predicts no classes: only attacks on features '
            f'(SSP, FDA, DR, TAP without label_weight) run on it{reason}'
        )
    for model, task in ((target, ours), (source, theirs)):
        if task.num_classes is None:
            raise UsageError(f'{type(model).__name__} predicts no classes; an attack needs a model that does')
    if ours.num_classes != theirs.num_classes:
        raise UsageError(
            f'the attack source predicts {theirs.num_classes} classes, the target {ours.num_classes}; '
            f'both must know the same data{reason}. '
            'Only attacks on features (SSP, FDA, DR, TAP without label_weight) run on any source'
        )


def check_discriminator(discriminator: Optional[nn.Module], condition_on_labels: bool, task: Task) -> None:
    """Raise a ``UsageError`` unless a discriminator takes images, or images with one-hot labels if it should."""
    if discriminator is None:
        return
    if condition_on_labels and not task.has_label_map:
        raise UsageError(f'a {task.noun} has no label map for the discriminator; leave condition_on_labels out')
    wanted = 3 + (task.num_classes or 0 if condition_on_labels else 0)
    first = next((module for module in discriminator.modules() if isinstance(module, nn.Conv2d)), None)
    if first is not None and first.in_channels != wanted:
        classes = f' and the one-hot labels of {task.num_classes} classes' if condition_on_labels else ''
        raise UsageError(
            f'the discriminator takes {first.in_channels} channels, but images{classes} have {wanted}: '
            f'set discriminator=dict(in_channels={wanted}), or leave in_channels out'
        )


def check_scores(sources: Iterable[AttackSource], attacks: Iterable[Attack], dataset) -> None:
    """Compare the class scores of training sources with what the models predict on the first image of the data.

    Does nothing if no attack uses class scores, or if the data can only be iterated over.

    Raises:
        UsageError: from :meth:`mmadvdefense.attacks.AttackSource.check_scores`.
    """
    if not hasattr(dataset, '__getitem__') or not any(_uses_scores(attack) for attack in attacks):
        return
    first = dataset[0]
    check_channels([first['inputs']], [first['data_samples'].get('img_path') or 'image 0'])
    for source in sources:
        source.check_scores([first['inputs'].float().to(source.device)])


def _uses_scores(attack: Attack) -> bool:
    objective = getattr(attack, 'objective', None)
    return bool(attack.targeted) or objective is None or objective.of_scores


def check_one_view(model: nn.Module) -> None:
    """Raise a ``UsageError`` for test-time augmentation, whose views of an image are made before a hook sees them."""
    while not isinstance(model, BaseTTAModel):
        inner = getattr(model, 'module', None)
        if not isinstance(inner, nn.Module):
            return
        model = inner
    raise UsageError(
        f'AttackHook does not work under test-time augmentation: {type(model).__name__} gets views of an image that '
        'are made in the pipeline, and an attacker has the image before that. Test without --tta, or take the '
        'AttackHook out of custom_hooks'
    )


def check_noise(purifier: Purifier, attacks: Sequence[Attack]) -> None:
    """Raise a ``UsageError`` if a purifier that is certified under noise would not be trained on this noise."""
    if not isinstance(purifier, SmoothedPurifier):
        return
    sigmas = [attack.sigma for attack in attacks if isinstance(attack, GaussianNoise)]
    if not sigmas or not all(math.isclose(sigma, purifier.sigma) for sigma in sigmas):
        found = f'sigma={", ".join(f"{sigma:g}" for sigma in sigmas)}' if sigmas else 'no such noise'
        raise UsageError(
            f'SmoothedPurifier(sigma={purifier.sigma:g}) must be trained on its own noise, and the training attack has '
            f"{found}: set attack=dict(type='GaussianNoise', sigma={purifier.sigma:g})"
        )


def warn_of_unit_range(attack: Attack) -> None:
    """Warn of a budget that looks as if it were in the range 0-1, like the literature's 8/255."""
    if attack.eps is not None and 0 < attack.eps < 1:
        warnings.warn(
            f'{type(attack).__name__}: eps={attack.eps:g} is in pixels (0-255), less than one grey level; '
            f'{attack.eps:g} of the range 0-1 is eps={attack.eps * 255:g}',
            stacklevel=3,
        )
