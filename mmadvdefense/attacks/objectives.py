"""What an attack maximises. A targeted attack minimises the same towards its target."""

from __future__ import annotations

from typing import ClassVar, Sequence, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pixels import Pixels
from ..registry import ATTACKS, in_own_scope
from .batch import AttackBatch


class Objective:
    """A number an image that an attack maximises."""

    targetable: ClassVar[bool] = True

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """A scalar: the sum over the batch, so that the gradient of an image does not depend on its neighbours."""
        return self.values(images, batch).sum()

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """``(N,)``, one an image."""
        raise NotImplementedError


class HostLossObjective(Objective):
    """Made of the host's own losses, which it averages over the batch."""

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        raise NotImplementedError

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """``(N,)``, each image asked about alone."""
        values = []
        for index, image in enumerate(images):
            part = batch.select([index])
            values.append(self(image[None] if isinstance(images, Tensor) else [image], part))
            batch.merge(part, [index])
        return torch.stack(values)


@ATTACKS.register_module()
class CrossEntropyObjective(Objective):
    """Cross-entropy of the class scores (pixel-wise for segmentation)."""

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        logits = batch.logits(images)
        if batch.target is None:
            return batch.source.task.cross_entropy(logits, batch.labels)
        return -batch.source.task.cross_entropy(logits, batch.target)


@ATTACKS.register_module()
class KLObjective(Objective):
    """``KL(softmax O(x_c) || softmax O(x))``, the criterion of TRADES, as its authors compute it; needs no labels.

    At ``x = x_c`` its gradient is zero, so the attack must start elsewhere.
    """

    targetable = False

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        reference = batch.reference.logits.softmax(1)
        divergence = F.kl_div(batch.logits(images).log_softmax(1), reference, reduction='none')
        return divergence.flatten(1).sum(1)


@ATTACKS.register_module()
class TaskLossObjective(HostLossObjective):
    """The host's own training loss: the sum of what it returns under names with ``loss``."""

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        samples = batch.samples
        if batch.target is not None:
            samples = batch.source.task.relabel(samples, batch.target)
        losses = batch.losses(images, samples)
        total = sum(_sum(value) for name, value in losses.items() if 'loss' in name)
        return total if batch.target is None else -total


@ATTACKS.register_module()
class DetectionObjective(HostLossObjective):
    """A part of a detector's own loss (Zhang and Wang, ICCV 2019): what is there, or where it is.

    Args:
        part: ``'cls'``, ``'loc'``, ``'cls+loc'``, or ``'random'``: cls or loc, drawn for each batch.
    """

    targetable = False

    def __init__(self, part: str = 'cls+loc'):
        if part not in ('cls', 'loc', 'cls+loc', 'random'):
            raise ValueError(f"part must be 'cls', 'loc', 'cls+loc' or 'random', got {part!r}")
        self.part = part

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        part = batch.choose(('cls', 'loc')) if self.part == 'random' else self.part
        losses = batch.losses(images)
        return sum(_sum(value) for value in batch.source.task.select_losses(losses, part))


def _sum(value: Union[Tensor, Sequence[Tensor]]) -> Tensor:
    return value.mean() if isinstance(value, Tensor) else sum(item.mean() for item in value)


# Short names for configs and the command line.
OBJECTIVES: dict[str, str] = {
    'cross_entropy': 'CrossEntropyObjective',
    'kl': 'KLObjective',
    'task_loss': 'TaskLossObjective',
    'cls': 'DetectionObjective',
    'loc': 'DetectionObjective',
    'cls+loc': 'DetectionObjective',
    'cls_or_loc': 'DetectionObjective',
}


def build_objective(config: Union[str, dict]) -> Objective:
    """An objective from its short name or config.

    Raises:
        ValueError: for an unknown short name; the message lists the known ones.
    """
    if isinstance(config, str):
        if config not in OBJECTIVES:
            raise ValueError(f'unknown attack objective {config!r}; known: {", ".join(OBJECTIVES)}')
        name, config = config, {'type': OBJECTIVES[config]}
        if config['type'] == 'DetectionObjective':
            config['part'] = 'random' if name == 'cls_or_loc' else name
    return ATTACKS.build(in_own_scope(config))
