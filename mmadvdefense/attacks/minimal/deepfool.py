"""DeepFool: to the nearest class boundary of a linearised model, again and again."""

from __future__ import annotations

from typing import Optional, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ...registry import ATTACKS
from ..base import Attack
from ..batch import AttackBatch
from ..objectives import margins
from ..source import AttackSource
from .base import SUCCESS_THRESHOLD, ActiveImages, check_class_scores, check_minimal_settings, class_scores, is_done

# Extra pixels for each step, as in the authors' code: otherwise an image on a boundary would stay there.
_NUDGE = 1e-3


@ATTACKS.register_module()
class DeepFool(Attack):
    """A small change that crosses the nearest boundary (Moosavi-Dezfooli et al., CVPR 2016, algorithm 2).

    With ``f_k`` by how much class k's score exceeds the true one's and ``w_k`` its gradient, each step goes the
    distance ``|f_k| / ||w_k||_*`` along the steepest direction of the class k for which that is shortest; ``||.||_*``
    is the dual norm (L2 for L2, L1 for L-infinity, section 3). The gradient is taken at the image as it would be
    returned: with the overshoot, and clamped to 0-255. An image that the model gets wrong is left as it is.

    With ``eps`` it is the bounded form of robustness tables: the same perturbation, found without a bound, and then
    projected into the ball, so an image whose nearest boundary lies outside may well stay correctly classified. It ends
    just behind the source's boundary, which another model hardly ever shares; ``fill`` continues to the edge of the
    ball.

    With a target, each step goes to where the linearised target score would equal the best other one.

    For segmentors, the scores are summed over the pixels that are still correct (k is the k-th best wrong class of
    each), until a share ``success_threshold`` of the labelled pixels is wrong.

    Args:
        eps: radius of the ball in pixels (0-255) that the result is projected into; None for the minimal form.
        norm: which norm is minimized, ``'l2'`` or ``'linf'``; by default L2, and L-infinity with ``eps``.
        steps: the maximum number.
        overshoot: share of its length by which the perturbation is lengthened, to end beyond the boundary.
        num_candidates: how many wrong classes are considered, the most likely ones at each step, each at the cost of
            a backward pass. For segmentors 1 is enough: the second best classes of all pixels are hardly ever nearer. A
            targeted attack has one candidate.
        success_threshold: share of the labelled pixels of an image that must be wrong (targeted: in the target class);
            for segmentors only.
        targeted: False, or how the target class is chosen, as for every attack.
        fill: scale a perturbation that is smaller than ``eps`` up to that size, in the direction found.

    Raises:
        ValueError: for a setting out of its range, or ``fill`` without ``eps``.
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
        super().__init__(eps, norm or ('l2' if eps is None else 'linf'), targeted)
        if fill and eps is None:
            raise UsageError('DeepFool: fill needs the eps of the ball that is to be filled')
        check_minimal_settings('DeepFool', success_threshold, steps=steps, num_candidates=num_candidates)
        if not overshoot >= 0:
            raise UsageError(f'DeepFool: overshoot is a share of the perturbation and must be >= 0, got {overshoot}')
        self.steps = int(steps)
        self.overshoot = overshoot
        self.num_candidates = int(num_candidates)
        self.success_threshold = success_threshold
        self.fill = fill
        self.stochastic = self.targeted == 'random'

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        check_class_scores('DeepFool', source)

    def details(self) -> list[str]:
        return [*super().details(), *([] if self.eps is None else ['scaled to eps' if self.fill else 'projected'])]

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
        return self._filled(adversarial, batch.clean) if self.fill else adversarial

    def _filled(self, images: Tensor, clean: Tensor) -> Tensor:
        """Changes smaller than ``eps`` are scaled up to it; images that did not change stay as they are."""
        delta = images - clean
        size = self.ball.size(delta)
        factor = torch.where(size > 0, self.ball.eps / size, 1).clamp(min=1)
        return clean + factor.view(-1, 1, 1, 1) * delta

    def _lags(self, logits: Tensor, labels: Tensor, left: Tensor) -> Tensor:
        """By how much the target exceeds the best other class, summed over pixels that are left: ``(N, 1)``, <= 0."""
        missing = -margins(logits, labels.where(left, 0))
        return missing.where(left, 0).sum(1, keepdim=True)

    def _leads(self, logits: Tensor, labels: Tensor, correct: Tensor) -> Tensor:
        """By how much each candidate exceeds the true class, summed over correct pixels: ``(N, k)``, <= 0."""
        index = labels.where(correct, 0).unsqueeze(1)
        others = logits.detach().scatter(1, index, -torch.inf)
        candidates = others.topk(min(self.num_candidates, logits.shape[1] - 1), dim=1).indices
        leads = logits.gather(1, candidates) - logits.gather(1, index)
        return leads.where(correct.unsqueeze(1), 0).sum(2)

    def _step(self, leads: Tensor, images: Tensor) -> Tensor:
        """The shortest way to where one of the leads, were they linear, is zero: ``(N, 3, H, W)``."""
        shortest = leads.new_full((len(leads),), torch.inf)
        step = torch.zeros_like(images)
        for lead, chosen in zip(leads.detach().unbind(1), torch.eye(leads.shape[1]).to(leads)):
            (gradient,) = torch.autograd.grad(leads, images, chosen.expand_as(leads), retain_graph=True)
            direction = self.ball.steepest(gradient)
            distance = lead.abs() / (direction * gradient).flatten(1).sum(1) + _NUDGE
            # Where the gradient is zero, no boundary is in sight.
            closer = distance.isfinite() & (distance < shortest)
            shortest = distance.where(closer, shortest)
            step = torch.where(closer.view(-1, 1, 1, 1), distance.view(-1, 1, 1, 1) * direction, step)
        return step
