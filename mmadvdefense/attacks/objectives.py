"""Objectives that attacks maximize. For a targeted attack the label is the target and the sign is reversed."""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar, Optional, Sequence, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UsageError
from ..pixels import Pixels
from ..registry import ATTACKS, OBJECTIVES, build_as_configured, find_class, type_name
from ..tasks import Task
from ..validation import did_you_mean
from .batch import AttackBatch, RecordingBatch


class Objective:
    """A per-image objective that an attack maximizes."""

    targetable: ClassVar[bool] = True
    # Whether it uses the true classes, which a source trained on other data does not have.
    needs_labels: bool = True
    # Whether it is a function of class scores, so that an ensemble's scores can be averaged.
    of_scores: ClassVar[bool] = True
    # Whether success shows in a higher value: a loss on right pixels alone falls with success.
    rises: ClassVar[bool] = True
    # Whether it makes a random choice for each batch.
    stochastic: bool = False
    # The choice of target of an attack that is not told one, for an objective that needs a target.
    default_target: Optional[str] = None

    def check_task(self, name: str, task: Task) -> None:
        """Raise a ``ValueError``, prefixed with the attack's ``name``, if models of a task are unsuitable."""
        if self.of_scores:
            task.require_class_scores(name, "use an objective on its losses: 'cls', 'loc' or 'cls+loc'")

    def applies(self, batch: AttackBatch) -> Optional[Tensor]:
        """Which images there is something to attack in, ``(N,)`` bool; the others are left as they are. None: all."""
        return None

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """The sum over the batch, so that the gradient of an image does not depend on the others."""
        return batch.noted(self.values(images, batch)).sum()

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """``(N,)``, one value per image."""
        raise NotImplementedError

    def strength(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """``(N,)``, by which several adversarial versions of an image are compared; costs one query."""
        return self.values(images, batch)

    def rank(self, view: RecordingBatch) -> Optional[Tensor]:
        """``(N,)``, by which iterates of Auto-PGD are compared before their values, from the scores of the last query.

        None to compare values alone.
        """
        return None


class HostLossObjective(Objective):
    """An objective built from the host's own losses, which are averages over the batch."""

    of_scores = False

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        raise NotImplementedError

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        """``(N,)``, with each image queried separately."""
        values = []
        for index, image in enumerate(images):
            part = batch.select([index])
            values.append(self(image[None] if isinstance(images, Tensor) else [image], part))
            batch.merge(part, [index])
        return torch.stack(values)


@OBJECTIVES.register_module()
class CrossEntropyObjective(Objective):
    """Cross-entropy of the class scores (pixel-wise for segmentation)."""

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        logits = batch.logits(images)
        if batch.target is None:
            return batch.source.task.cross_entropy(logits, batch.labels)
        return -batch.source.task.cross_entropy(logits, batch.target)


def is_labelled(labels: Tensor, ignore_index: Optional[int]) -> Tensor:
    """Which labels denote a class, bool like ``labels``."""
    return torch.ones_like(labels, dtype=torch.bool) if ignore_index is None else labels != ignore_index


def margins(logits: Tensor, labels: Tensor, ignore_index: Optional[int] = None) -> Tensor:
    """``max_{k != y} z_k - z_y``: above 0 where the model errs (f6 of Carlini and Wagner, S&P 2017, unbounded).

    Args:
        logits: ``(N, K, ...)``.
        labels: ``(N, ...)``, class indices.
        ignore_index: label of ignored pixels, whose margin is 0.

    Returns:
        ``(N, ...)``, one per image or pixel.
    """
    known = is_labelled(labels, ignore_index)
    index = labels.where(known, 0).unsqueeze(1)
    own = logits.gather(1, index)
    others = logits.scatter(1, index, -torch.inf).amax(1)
    return (others - own.squeeze(1)).where(known, 0)


@OBJECTIVES.register_module()
class MarginObjective(Objective):
    """The margin of the best wrong class over the true one; targeted: of the target over the best other class.

    For segmentation the sum over pixels, each capped at ``confidence``, so that no effort is spent on wrong pixels.

    Args:
        confidence: the margin at which the objective is capped (kappa of Carlini and Wagner); None for no cap.
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


@OBJECTIVES.register_module()
class DLRObjective(Objective):
    """The difference of logits ratio (Croce and Hein, ICML 2020, equation 6); targeted, equation 7.

    With the scores sorted, ``z_(1) >= z_(2) >= ...``, true class y and target t:

    - untargeted ``(max_{k != y} z_k - z_y) / (z_(1) - z_(3))``, the margin in a unit of the model's own: neither the
      scale of the scores nor a constant added to all of them changes it;
    - targeted ``(z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2)``.

    The ratios need 3 and 4 classes; the authors' code warns of fewer, and then fails. Here, with 3 classes the targeted
    ratio divides by ``z_(1) - (z_(2) + z_(3)) / 2`` (with ``z_(3)`` alone, it would not change while the target is last
    and the true class first), and with 2, where every such ratio is constant, the numerator alone is maximized. For
    segmentation the sum over labelled pixels.
    """

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        task, labels = batch.source.task, batch.labels
        logits = task.fit(batch.logits(images), labels)
        if logits.shape[1] < 2:
            raise UsageError(
                f"objective='dlr' compares class scores, and {type(batch.source.model).__name__} has only one; "
                "use objective='task_loss'"
            )
        if batch.target is None:
            value = margins(logits, labels, task.ignore_index)
            unit = _dlr_unit(logits, highest=3, lowest=1)
        else:
            known = is_labelled(labels, task.ignore_index) & is_labelled(batch.target, task.ignore_index)
            own, target = (logits.gather(1, it.where(known, 0).unsqueeze(1)) for it in (labels, batch.target))
            value = (target - own).squeeze(1).where(known, 0)
            unit = _dlr_unit(logits, highest=4, lowest=2)
        value = value / unit
        return value.flatten(1).sum(1) if value.ndim > 1 else value


def _dlr_unit(logits: Tensor, highest: int, lowest: int) -> Tensor:
    """``z_(1)`` minus the mean of the ``lowest`` ones among the ``highest`` scores, ``(N, ...)``; 1 for two classes."""
    ranked = logits.topk(min(highest, logits.shape[1]), 1).values
    if ranked.shape[1] < 3:
        return torch.ones_like(ranked[:, 0])
    return ranked[:, 0] - ranked[:, -lowest:].mean(1) + _TINY_UNIT


# As in the authors' code; scores can all be equal.
_TINY_UNIT = 1e-12


@OBJECTIVES.register_module()
class KLObjective(Objective):
    """``KL(softmax O(x_c) || softmax O(x))``, the criterion of TRADES, as its authors compute it; needs no labels.

    Its gradient vanishes at ``x = x_c``, so the attack needs a random start.
    """

    targetable = False
    needs_labels = False

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        reference = batch.reference.logits.softmax(1)
        divergence = F.kl_div(batch.logits(images).log_softmax(1), reference, reduction='none')
        return divergence.flatten(1).sum(1)


@OBJECTIVES.register_module()
class TaskLossObjective(HostLossObjective):
    """The host's own training loss: the sum of its entries with ``loss`` in their name."""

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        samples = batch.samples
        if batch.target is not None:
            samples = batch.source.task.relabel(samples, batch.target)
        losses = batch.losses(images, samples)
        total = reduce(torch.add, (_sum(value) for name, value in losses.items() if 'loss' in name))
        return batch.noted(total if batch.target is None else -total)


@OBJECTIVES.register_module()
class DetectionObjective(HostLossObjective):
    """The classification or localization part of a detector's own loss (Zhang and Wang, ICCV 2019).

    Args:
        part: ``'cls'``, ``'loc'``, ``'cls+loc'``, or ``'random'``: one of the two, drawn for each batch.
    """

    targetable = False

    def __init__(self, part: str = 'cls+loc'):
        if part not in ('cls', 'loc', 'cls+loc', 'random'):
            raise UsageError(f"part must be 'cls', 'loc', 'cls+loc' or 'random', got {part!r}")
        self.part = part
        self.stochastic = part == 'random'

    def check_task(self, name: str, task: Task) -> None:
        if not task.has_loss_parts:
            raise UsageError(
                f'{name}: the losses of a {task.name} model have no part {self.part!r}; use '
                "objective='cross_entropy', 'margin', 'kl' or 'task_loss'"
            )

    def __call__(self, images: Pixels, batch: AttackBatch) -> Tensor:
        part = batch.choose(('cls', 'loc')) if self.part == 'random' else self.part
        losses = batch.losses(images)
        return batch.noted(reduce(torch.add, map(_sum, batch.source.task.select_losses(losses, part))))


def _sum(value: Union[Tensor, Sequence[Tensor]]) -> Tensor:
    return value.mean() if isinstance(value, Tensor) else reduce(torch.add, (item.mean() for item in value))


# Short names that configs and the command line accept in place of a config.
WORDS: dict[str, dict[str, Any]] = {
    'cross_entropy': dict(type='CrossEntropyObjective'),
    'margin': dict(type='MarginObjective'),
    'dlr': dict(type='DLRObjective'),
    'kl': dict(type='KLObjective'),
    'task_loss': dict(type='TaskLossObjective'),
    'cls': dict(type='DetectionObjective', part='cls'),
    'loc': dict(type='DetectionObjective', part='loc'),
    'cls+loc': dict(type='DetectionObjective', part='cls+loc'),
    'cls_or_loc': dict(type='DetectionObjective', part='random'),
    'untargeted': dict(type='UntargetedObjective'),
    'vanish': dict(type='VanishObjective'),
    'fabricate': dict(type='FabricateObjective'),
    'mislabel': dict(type='MislabelObjective'),
    'mislabel_least': dict(type='MislabelObjective', target='least_likely'),
    'latency': dict(type='LatencyObjective'),
    'cwa': dict(type='ClassWiseObjective'),
    'segpgd': dict(type='SegPGDObjective'),
    'cospgd': dict(type='CosPGDObjective'),
    'cosine': dict(type='CosineObjective'),
    'masked_cross_entropy': dict(type='MaskedCrossEntropyObjective'),
    'balanced_masked_cross_entropy': dict(type='MaskedCrossEntropyObjective', balanced=True),
    'jensen_shannon': dict(type='JensenShannonObjective'),
    'masked_spherical': dict(type='MaskedSphericalObjective'),
}


def build_objective(config: Union[str, dict[str, Any]]) -> Objective:
    """Build an objective from its short name or config.

    Raises:
        ValueError: for an unknown name or class (the message lists the known ones), a class registered among the
            attacks, or invalid or unknown parameters.
    """
    if isinstance(config, str):
        if config not in WORDS:
            raise UsageError(f'unknown attack objective {config!r}; known: {", ".join(WORDS)}')
        config = WORDS[config]
    kind = config.get('type')
    name, cls = type_name(kind), find_class(kind, OBJECTIVES)
    if cls is None or not issubclass(cls, Objective):
        misplaced = find_class(kind, ATTACKS)
        if misplaced is not None and issubclass(misplaced, Objective):
            raise UsageError(
                f'{name} is registered in ATTACKS; objectives have a registry of their own, '
                'mmadvdefense.registry.OBJECTIVES: decorate the class with @OBJECTIVES.register_module()'
            )
        shown = None if kind is None else name
        raise UsageError(f'unknown attack objective {shown!r}; {did_you_mean(name, sorted(OBJECTIVES.module_dict))}')
    objective: Objective = build_as_configured(config, OBJECTIVES)
    return objective
