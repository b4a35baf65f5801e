"""What an attack maximises. A targeted attack minimises the same towards its target."""

from __future__ import annotations

from typing import ClassVar, Optional, Sequence, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UsageError
from ..pixels import Pixels
from ..registry import ATTACKS, in_own_scope
from ..tasks import DetectionTask, Task
from .batch import AttackBatch


class Objective:
    """A number an image that an attack maximises."""

    targetable: ClassVar[bool] = True
    # Whether it is about the true classes, which a source of other data cannot know.
    needs_labels: bool = True
    # Whether it is a function of class scores, which those of an ensemble can be averaged for.
    of_scores: ClassVar[bool] = True
    # Whether what it measures is drawn for each batch.
    stochastic: bool = False

    def check_task(self, name: str, task: Task) -> None:
        """Raise a ``ValueError`` that begins with the attack's ``name``, if models of a task have not what it needs."""
        if self.of_scores and task.name == DetectionTask.name:
            raise UsageError(
                f'{name}: a detector has no one set of class scores; use an objective on its losses: '
                "'cls', 'loc' or 'cls+loc'"
            )

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """A scalar: the sum over the batch, so that the gradient of an image does not depend on its neighbours."""
        return self.values(images, batch).sum()

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """``(N,)``, one an image."""
        raise NotImplementedError


class HostLossObjective(Objective):
    """Made of the host's own losses, which it averages over the batch."""

    of_scores = False

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


def margins(logits: Tensor, labels: Tensor, ignore_index: Optional[int] = None) -> Tensor:
    """``max_{k != y} z_k - z_y``: above 0 where the model errs (f6 of Carlini and Wagner, S&P 2017, unbounded).

    Args:
        logits: ``(N, K, ...)``.
        labels: ``(N, ...)``, class indices.
        ignore_index: label without a class, where the margin is 0.

    Returns:
        ``(N, ...)``, one an image or pixel.
    """
    known = torch.ones_like(labels, dtype=torch.bool) if ignore_index is None else labels != ignore_index
    index = labels.where(known, 0).unsqueeze(1)
    own = logits.gather(1, index)
    others = logits.scatter(1, index, -torch.inf).amax(1)
    return (others - own.squeeze(1)).where(known, 0)


@ATTACKS.register_module()
class MarginObjective(Objective):
    """By how much the best wrong class beats the true one; targeted: the target the best other one.

    For segmentation the sum over pixels, each counted up to ``confidence``: what is wrong already needs no more.

    Args:
        confidence: the margin beyond which nothing is gained (kappa of Carlini and Wagner); None for no bound.
    """

    def __init__(self, confidence: Optional[float] = None):
        self.confidence = confidence

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        labels = batch.labels if batch.target is None else batch.target
        value = margins(batch.source.task.fit(batch.logits(images), labels), labels, batch.source.task.ignore_index)
        value = value if batch.target is None else -value
        if self.confidence is not None:
            value = value.clamp(max=self.confidence)
        return value.flatten(1).sum(1) if value.ndim > 1 else value


@ATTACKS.register_module()
class KLObjective(Objective):
    """``KL(softmax O(x_c) || softmax O(x))``, the criterion of TRADES, as its authors compute it; needs no labels.

    At ``x = x_c`` its gradient is zero, so the attack must start elsewhere.
    """

    targetable = False
    needs_labels = False

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
            raise UsageError(f"part must be 'cls', 'loc', 'cls+loc' or 'random', got {part!r}")
        self.part = part
        self.stochastic = part == 'random'

    def check_task(self, name: str, task: Task) -> None:
        if task.name != DetectionTask.name:
            raise UsageError(
                f'{name}: the losses of a {task.name} model have no part {self.part!r}; use '
                "objective='cross_entropy', 'margin', 'kl' or 'task_loss'"
            )

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        part = batch.choose(('cls', 'loc')) if self.part == 'random' else self.part
        losses = batch.losses(images)
        return sum(_sum(value) for value in batch.source.task.select_losses(losses, part))


def _sum(value: Union[Tensor, Sequence[Tensor]]) -> Tensor:
    return value.mean() if isinstance(value, Tensor) else sum(item.mean() for item in value)


# Short names for configs and the command line.
OBJECTIVES: dict[str, str] = {
    'cross_entropy': 'CrossEntropyObjective',
    'margin': 'MarginObjective',
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
            raise UsageError(f'unknown attack objective {config!r}; known: {", ".join(OBJECTIVES)}')
        name, config = config, {'type': OBJECTIVES[config]}
        if config['type'] == 'DetectionObjective':
            config['part'] = 'random' if name == 'cls_or_loc' else name
    return ATTACKS.build(in_own_scope(config))
