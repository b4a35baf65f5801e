"""DeepFool: iterated steps to the nearest class boundary of the linearised model."""

from __future__ import annotations

from typing import Optional, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ...registry import ATTACKS
from ...validation import check_integer
from ..batch import AttackBatch
from ..objectives import margins
from .base import SUCCESS_THRESHOLD, ActiveImages, MinimumNormAttack, class_scores, is_done

# Added to each step, in pixels, as in the authors' code: otherwise an image on a boundary would stay there.
_NUDGE = 1e-3


@ATTACKS.register_module()
class DeepFool(MinimumNormAttack):
    """A small perturbation that crosses the nearest decision boundary (Moosavi-Dezfooli et al., CVPR 2016, algorithm
    2).

    Let ``f_k`` be the score of class k minus that of the true class, and ``w_k`` its gradient. Each step has length
    ``|f_k| / ||w_k||_*`` along the steepest direction of the class k that minimizes this length; ``||.||_*`` is the
    dual norm (L2 for L2, L1 for L-infinity, section 3). Gradients are evaluated at the image that would be returned,
    with the overshoot and clamped to 0-255. Misclassified images are left unchanged.

    With ``eps`` it is the bounded form of robustness tables: the unbounded perturbation is projected into the ball, so
    an image whose nearest boundary lies outside may remain correctly classified. The result lies just beyond the
    source's boundary and rarely transfers to other models; ``fill`` extends it to the edge of the ball.

    With a target, each step goes to the point where the linearised target score equals the best other score.

    For segmentors, the scores are summed over the pixels that are still correct (k is the k-th best wrong class of
    each), until a share ``success_threshold`` of the labelled pixels is wrong.

    Args:
        eps: radius of the ball in pixels (0-255) into which the result is projected; None for the minimum-norm form.
        norm: the norm to minimize, ``'l2'`` or ``'linf'``; by default L2, or L-infinity with ``eps``.
        steps: maximum number of steps.
        overshoot: relative extension of the perturbation, to end beyond the boundary.
        num_candidates: number of most likely wrong classes considered at each step, each at the cost of a backward
            pass. For segmentors 1 suffices: the pixels' second best classes are hardly ever nearer. A targeted attack
            has one candidate.
        success_threshold: share of the labelled pixels of an image that must be wrong (targeted: in the target class);
            for segmentors only.
        targeted: False, or how the target class is chosen, as for every attack.
        fill: scale perturbations smaller than ``eps`` up to that size.

    Raises:
        ValueError: for a setting out of range, or ``fill`` without ``eps``.
    """

    def __init__(
        self,
        eps: Optional[float] = None,
        norm: Optional[str] = None,
        steps: int = 50,
        overshoot: float = 0.02,
        num_candidates: int = 10,
        success_threshold: float = SUCCESS_THRESHOLD,
        targeted: Union[bool, str] = False,
        fill: bool = False,
    ):
        norm = norm or ('l2' if eps is None else 'linf')
        super().__init__(eps, norm, targeted, steps, success_threshold, fill)
        check_integer('DeepFool', num_candidates=num_candidates)
        if not overshoot >= 0:
            raise UsageError(f'DeepFool: overshoot must be a share of the perturbation >= 0, got {overshoot}')
        self.overshoot = overshoot
        self.num_candidates = int(num_candidates)

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial, total = batch.clean.clone(), torch.zeros_like(batch.clean)
        active = ActiveImages(batch)
        for _ in range(self.steps):
            images = adversarial[active.at].requires_grad_()
            with torch.enable_grad():
                logits, labels, known = class_scores(images, active.part)
                predicted = logits.argmax(1)
                left = known & ((predicted == labels) if batch.target is None else (predicted != labels))
                leads = (self._leads if batch.target is None else self._lags)(logits, labels, left)
            going = ~is_done(~left, known, self.success_threshold)
            if not going.any():
                break
            step = self._step(leads, images)[going]
            active.keep(going)
            total[active.at] += step
            perturbed = batch.clean[active.at] + (1 + self.overshoot) * total[active.at]
            adversarial[active.at] = perturbed.clamp(0, PIXEL_MAX)
        active.close()
        return self.filled(adversarial, batch.clean)

    def _lags(self, logits: Tensor, labels: Tensor, left: Tensor) -> Tensor:
        """Target score minus best other score, summed over the remaining pixels: ``(N, 1)``, <= 0."""
        missing = -margins(logits, labels.where(left, 0))
        return missing.where(left, 0).sum(1, keepdim=True)

    def _leads(self, logits: Tensor, labels: Tensor, correct: Tensor) -> Tensor:
        """Score of each candidate minus that of the true class, summed over correct pixels: ``(N, k)``, <= 0."""
        index = labels.where(correct, 0).unsqueeze(1)
        others = logits.detach().scatter(1, index, -torch.inf)
        candidates = others.topk(min(self.num_candidates, logits.shape[1] - 1), dim=1).indices
        leads = logits.gather(1, candidates) - logits.gather(1, index)
        return leads.where(correct.unsqueeze(1), 0).sum(2)

    def _step(self, leads: Tensor, images: Tensor) -> Tensor:
        """The shortest step to a zero of one of the linearised leads: ``(N, 3, H, W)``."""
        shortest = leads.new_full((len(leads),), torch.inf)
        step = torch.zeros_like(images)
        for lead, chosen in zip(leads.detach().unbind(1), torch.eye(leads.shape[1]).to(leads)):
            (gradient,) = torch.autograd.grad(leads, images, chosen.expand_as(leads), retain_graph=True)
            direction = self.ball.steepest(gradient)
            distance = lead.abs() / (direction * gradient).flatten(1).sum(1) + _NUDGE
            # With a zero gradient, the distance is not finite.
            closer = distance.isfinite() & (distance < shortest)
            shortest = distance.where(closer, shortest)
            step = torch.where(closer.view(-1, 1, 1, 1), distance.view(-1, 1, 1, 1) * direction, step)
        return step
