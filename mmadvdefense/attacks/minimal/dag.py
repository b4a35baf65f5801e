"""The dense adversary generation attack."""

from __future__ import annotations

from typing import Optional, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...registry import ATTACKS
from ..batch import AttackBatch
from ..objectives import margins
from ..targets import target_choice
from .base import SUCCESS_THRESHOLD, ActiveImages, MinimumNormAttack, class_scores, is_done


@ATTACKS.register_module()
class DAG(MinimumNormAttack):
    """Dense adversary generation (Xie et al., ICCV 2017, algorithm 1) for segmentors and classifiers.

    Each step adds up the gradients of "score of the adversarial class minus score of the true class" over all pixels
    that are still correct, scales the sum to the size ``gamma``, and adds it to the image, until a share
    ``success_threshold`` of the labelled pixels is wrong. The algorithm ends there and does not look for a smaller
    perturbation; a smaller ``gamma`` does, with more steps. An image for which it fails keeps its last perturbation.

    With a target, the sum is over the pixels outside their target class, of the target's score minus the best other.

    Args:
        eps: radius of the ball in pixels (0-255) to which every step is confined; None for the minimum-norm form.
        norm: in which the step is measured, ``'linf'`` as in the paper, or ``'l2'``.
        steps: maximum number of steps; the paper's 200 for segmentors.
        gamma: size of a step in pixels (0-255); the paper's 0.5.
        towards: the adversarial class of each pixel: a name of ``mmadvdefense.attacks.targets``, ``'random'`` as in the
            paper; by default the most likely wrong class at each step. Any wrong class counts as success.
        success_threshold: share of the labelled pixels of an image that must be wrong (targeted: in the target class).
        targeted: False, or how the target class is chosen, as for every attack.
        fill: scale perturbations smaller than ``eps`` up to that size.

    Raises:
        ValueError: for a setting out of range, or both ``towards`` and ``targeted``.
    """

    def __init__(
        self,
        eps: Optional[float] = None,
        norm: str = 'linf',
        steps: int = 200,
        gamma: float = 0.5,
        towards: Optional[str] = None,
        success_threshold: float = SUCCESS_THRESHOLD,
        targeted: Union[bool, str] = False,
        fill: bool = False,
    ):
        super().__init__(eps, norm, targeted, steps, success_threshold, fill)
        if not gamma > 0:
            raise UsageError(f'DAG: gamma is the size of a step in pixels (0-255) and must be > 0, got {gamma}')
        if towards and self.targeted:
            raise UsageError('DAG: targeted already says which class each pixel goes to; leave out towards')
        if towards:
            try:
                target_choice(towards)
            except ValueError as error:
                raise UsageError(f'DAG: {error}') from error
        self.gamma = gamma
        self.towards = towards
        self.stochastic = 'random' in (self.targeted, towards)

    def details(self) -> list[str]:
        towards = [f'towards class: {self.towards.replace("_", " ")}'] if self.towards else []
        return [*super().details(), *towards]

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial = batch.clean.clone()
        towards = self._towards(batch)
        active = ActiveImages(batch)
        for _ in range(self.steps):
            images = adversarial[active.at].requires_grad_()
            with torch.enable_grad():
                scores, labels, known = self.scores(images, active.part)
                same = scores.argmax(1) == labels
                left = known & (same if batch.target is None else ~same)
                lead = self._lead(scores, labels.where(known, 0), None if towards is None else towards[active.at])
                (gradient,) = torch.autograd.grad(lead.where(left, 0).sum(), images)
            going = ~is_done(~left, known, self.success_threshold)
            if not active.keep(going):
                break
            moved = (images.detach() + self._step(gradient))[going]
            adversarial[active.at] = self.ball.project(moved, batch.clean[active.at])
        active.close()
        return self.filled(adversarial, batch.clean)

    def scores(self, images: Tensor, batch: AttackBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Scores ``(N, K, P)`` of all that is to be misled in images, its classes ``(N, P)`` and whether it has one.

        The only thing that a form for another task replaces: boxes, for example, in the place of pixels.
        """
        return class_scores(images, batch)

    def _towards(self, batch: AttackBatch) -> Optional[Tensor]:
        """The adversarial class of each pixel, ``(N, P)``; None for the most likely one at each step."""
        if not self.towards:
            return None
        logits, labels = batch.reference.logits, batch.labels
        classes = batch.source.task.target_classes(logits)
        choice = target_choice(self.towards)(batch.source.task.fit(logits, labels), labels, batch.randomness, classes)
        return choice.reshape(len(batch), -1)

    def _lead(self, scores: Tensor, labels: Tensor, towards: Optional[Tensor]) -> Tensor:
        """What each pixel should gain, ``(N, P)``; any number where it has no class."""
        if self.targeted:
            return -margins(scores, labels)
        if towards is None:
            return margins(scores, labels)
        index = torch.stack([towards.clamp(0, scores.shape[1] - 1), labels], 1)
        adversarial, true = scores.gather(1, index).unbind(1)
        return adversarial - true

    def _step(self, gradient: Tensor) -> Tensor:
        """The gradient of each image, scaled to the size gamma; zero where there is none."""
        largest = gradient.flatten(1).abs().amax(1).clamp(min=torch.finfo(gradient.dtype).tiny).view(-1, 1, 1, 1)
        # In two steps, because the square of a confident model's gradient can underflow to 0.
        direction = gradient / largest
        size = self.ball.size(direction).clamp(min=torch.finfo(gradient.dtype).tiny).view(-1, 1, 1, 1)
        return self.gamma / size * direction
