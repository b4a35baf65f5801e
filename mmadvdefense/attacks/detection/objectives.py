"""Objectives on a detector's candidate boxes: no object, many objects, wrong classes (TOG), latency, class-wise.

They apply to every detector whose candidates are known, with one stage, two stages or queries
(:mod:`mmadvdefense.tasks.detections.candidates`). A candidate is a box with the score of one class, as the detector
would hand it to non-maximum suppression.
"""

from __future__ import annotations

import math
from typing import Optional, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import Pixels
from ...registry import OBJECTIVES
from ...tasks import Task
from ...tasks.detections.candidates import Candidates
from ...tasks.detections.objects import log_opposite, log_score
from ...tasks.detections.tables import iou, nearest_objects
from ...tasks.sample_scores import CONFIDENCE, OVERLAP
from ...validation import did_you_mean
from ..batch import AttackBatch
from ..objectives import Objective, TaskLossObjective
from ..targets import TARGETS, target_choice


def check_threshold(user: str, threshold: float) -> None:
    """Raise a ``ValueError``, prefixed with ``user``, for a threshold that no score can cross."""
    if not 0 < threshold < 1:
        raise UsageError(f'{user}: threshold is a score above 0 and below 1, got {threshold}')


def soft_count(found: Candidates, threshold: float) -> Tensor:
    """``(N,)``: how many candidates of each image have a score above a threshold in (0, 1), one half for each at it."""
    odds = log_score(found.scores) - log_opposite(found.scores)
    return found.per_image((odds - math.log(threshold / (1 - threshold))).sigmoid())


class CandidateObjective(Objective):
    """A function of a detector's candidate boxes; a subclass implements :meth:`value`."""

    targetable = False
    of_scores = False

    def check_task(self, name: str, task: Task) -> None:
        task.require_candidates(f'{name} with {type(self).__name__}')

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        return self.value(batch.candidates(images), batch)

    def value(self, found: Candidates, batch: AttackBatch) -> Tensor:
        """``(N,)``, one value per image."""
        raise NotImplementedError


class ObjectObjective(CandidateObjective):
    """An objective about the objects of the ground truth: images without objects are left as they are."""

    def applies(self, batch: AttackBatch) -> Tensor:
        counts = batch.source.task.label_counts(batch.samples)
        return torch.tensor([count > 0 for count in counts], device=batch.clean.device)

    def value(self, found: Candidates, batch: AttackBatch) -> Tensor:
        if not len(batch.labels):
            return 0 * found.per_image(found.scores)
        return self.of_objects(found, batch)

    def of_objects(self, found: Candidates, batch: AttackBatch) -> Tensor:
        """``(N,)``, for a batch with at least one object; 0 for images without one."""
        raise NotImplementedError


@OBJECTIVES.register_module()
class UntargetedObjective(TaskLossObjective):
    """The detector's whole loss on the true objects: TOG's untargeted attack (Chow et al., TPS-ISA 2020)."""

    targetable = False

    def check_task(self, name: str, task: Task) -> None:
        if not task.has_loss_parts:
            raise UsageError(f"{name}: 'untargeted' is for detectors; use 'task_loss' for a {task.noun}")


@OBJECTIVES.register_module()
class VanishObjective(ObjectObjective):
    """No object: the sum of ``log(1 - score)`` over all candidates, TOG's object-vanishing attack.

    This is minus the loss of the scores (binary cross-entropy) where there are no objects. It says nothing of boxes.
    """

    def of_objects(self, found: Candidates, batch: AttackBatch) -> Tensor:
        return found.per_image(log_opposite(found.scores)).where(batch.objects.number > 0, 0)


@OBJECTIVES.register_module()
class FabricateObjective(CandidateObjective):
    """Many objects: the number of candidates with a confidence of at least 0.3, made differentiable.

    The sum of ``sigmoid(logit(score) - logit(threshold))``. TOG's object-fabrication attack maximizes minus the sum of
    ``log(1 - score)``, whose gradient goes to boxes that are sure already, so that few are added. The two have the same
    gradient for low scores.

    Args:
        threshold: the confidence that counts, in (0, 1).

    Raises:
        ValueError: for a threshold out of range.
    """

    needs_labels = False

    def __init__(self, threshold: float = CONFIDENCE):
        check_threshold(type(self).__name__, threshold)
        self.threshold = threshold

    def value(self, found: Candidates, batch: AttackBatch) -> Tensor:
        return soft_count(found, self.threshold)


@OBJECTIVES.register_module()
class LatencyObjective(CandidateObjective):
    """The number of candidates whose score exceeds the threshold before non-maximum suppression, made differentiable.

    The sum of ``sigmoid(logit(score) - logit(threshold))``. As in Phantom Sponges (Shapira et al., WACV 2023) and
    Overload (Chen et al., CVPR 2024), candidates below the threshold are raised above it, and no effort is spent on
    those that are far above; the further terms of these attacks (area and overlap of the boxes) are left out.

    Args:
        threshold: score in (0, 1); by default that of the model's test settings.

    Raises:
        ValueError: for a threshold out of range; when run, if the model has none of its own either.
    """

    needs_labels = False

    def __init__(self, threshold: Optional[float] = None):
        if threshold is not None:
            check_threshold(type(self).__name__, threshold)
        self.threshold = threshold

    def check_task(self, name: str, task: Task) -> None:
        super().check_task(name, task)
        if not (self.threshold or task.score_threshold):
            raise UsageError(
                f'{name}: the {task.noun} keeps a fixed number of boxes, whatever their scores; for another threshold '
                "use objective=dict(type='LatencyObjective', threshold=0.05)"
            )

    def value(self, found: Candidates, batch: AttackBatch) -> Tensor:
        return soft_count(found, self.threshold or batch.source.task.score_threshold or 0.0)


@OBJECTIVES.register_module()
class MislabelObjective(ObjectObjective):
    """Wrong classes: TOG's object-mislabeling attack, on class scores alone.

    For each object the log-likelihood of the target class, and of no other, under the candidates that lie on it (an IoU
    of at least 0.5), divided by their number. Objects that are of the target class already do not count.

    Args:
        target: the class that every object is to have: ``'top_wrong'`` or ``'least_likely'`` (the wrong class with the
            highest or lowest score among the candidates on the clean object), ``'random'``, or the index of a class.
            ``targeted`` of the attack takes precedence.

    Raises:
        ValueError: for an unknown choice; when run, for a class that does not exist, or a model with only one class.
    """

    targetable = True

    def __init__(self, target: Union[str, int] = 'top_wrong'):
        choice = f'class_{target}' if isinstance(target, int) else str(target)
        try:
            target_choice(choice)
        except ValueError as error:
            hint = f'{did_you_mean(choice, sorted(TARGETS))}, or the index of a class'
            raise UsageError(f'{type(self).__name__}: unknown target {target!r}; {hint}') from error
        self.default_target = choice

    def check_task(self, name: str, task: Task) -> None:
        super().check_task(name, task)
        if task.num_classes == 1:
            raise UsageError(f"{name}: the model has one class, so that there is no wrong one; use objective='vanish'")

    def of_objects(self, found: Candidates, batch: AttackBatch) -> Tensor:
        assert batch.target is not None, 'the attack chooses a target before it begins'
        which, near = nearest_objects(found, batch.objects, OVERLAP)
        wanted = batch.target[which]
        near = near & (wanted != batch.labels[which])
        hit = found.labels == wanted
        number = found.scores.new_zeros(len(batch.labels)).index_add(0, which, (near & hit).to(found.scores.dtype))
        likelihood = log_score(found.scores).where(hit, log_opposite(found.scores)) / number.clamp(min=1)[which]
        return found.per_image(likelihood.where(near, 0))


@OBJECTIVES.register_module()
class ClassWiseObjective(ObjectObjective):
    """The losses of all objects, averaged over the objects of each class and then summed over the classes of an image.

    The class-wise attack of Chen, Kung and Chen (CVPR 2021): a class with many objects in an image counts no more than
    one with a single object. The loss of an object is the mean over the candidates that lie on it (an IoU of at least
    0.5) of the binary cross-entropy of their scores, and of ``1 - IoU`` for those of its class.

    Args:
        part: ``'cls'``, ``'loc'`` or ``'cls+loc'``: which of the two losses.

    Raises:
        ValueError: for another part.
    """

    def __init__(self, part: str = 'cls+loc'):
        if part not in ('cls', 'loc', 'cls+loc'):
            raise UsageError(f"ClassWiseObjective: part must be 'cls', 'loc' or 'cls+loc', got {part!r}")
        self.parts = part.split('+')

    def of_objects(self, found: Candidates, batch: AttackBatch) -> Tensor:
        objects = batch.objects
        which, near = nearest_objects(found, objects, OVERLAP)
        own = found.labels == objects.labels[which]
        loss = torch.zeros_like(found.scores)
        if 'cls' in self.parts:
            loss = loss - log_score(found.scores).where(own, log_opposite(found.scores))
        if 'loc' in self.parts:
            loss = loss + (1 - iou(found.boxes, objects.boxes[which])).where(own, 0)
        boxes = loss.new_zeros(len(objects.labels)).index_add(0, which, (near & own).to(loss.dtype))
        # How many objects of the same class the image has.
        alike = (objects.image[:, None] == objects.image) & (objects.labels[:, None] == objects.labels)
        weight = 1 / (boxes.clamp(min=1) * alike.sum(1))
        return found.per_image((loss * weight[which]).where(near, 0))
