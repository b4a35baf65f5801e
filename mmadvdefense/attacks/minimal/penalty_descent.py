"""Small changes that reach a margin, found by minimizing the sum of their size and the shortfall from the margin."""

from __future__ import annotations

import torch
from torch import Tensor

from ...pixels import PIXEL_MAX
from ..batch import AttackBatch
from ..objectives import margins
from .base import ActiveImages, class_scores, is_done

# tanh never reaches the ends of the pixel range; as near to them as the authors' code goes.
_SHRINK = 1 - 1e-6


class PenaltyDescent:
    """``min ||x - x_c||^2 + c * sum max(confidence - margin(x), 0)`` (Carlini and Wagner, S&P 2017, section VI A).

    ``margin`` is by how much the best wrong class beats the true one; with a target, the target the best other one; the
    sum is over labelled pixels. Pixels are ``255 (tanh(w) + 1) / 2``, and Adam moves w. The distance is that of pixels
    in 0-1, as in the paper, so that c and the learning rate mean the same there.

    Args:
        confidence: the margin to be reached.
        steps: of Adam.
        learning_rate: of Adam.
        abort_early: stop for an image whose loss has not fallen by 0.01 % in a tenth of the steps.
        success_threshold: share of the labelled pixels of an image that must reach the margin.
    """

    def __init__(
        self, confidence: float, steps: int, learning_rate: float, abort_early: bool, success_threshold: float
    ):
        self.confidence = confidence
        self.steps = steps
        self.learning_rate = learning_rate
        self.abort_early = abort_early
        self.success_threshold = success_threshold

    def __call__(self, batch: AttackBatch, const: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The nearest images that reach the margin, among all that the descent from the clean ones meets.

        The last tenth of the steps decides whether c is large enough: Adam's first steps are just as long for a small
        c, and may go far beyond the margin.

        Args:
            batch: the images.
            const: c, ``(N,)``.

        Returns:
            ``(N, 3, H, W)``, their squared L2 distance in 0-1 ``(N,)``, infinite where none reaches it, and whether c
            is large enough ``(N,)``.
        """
        nearest, shortest = batch.clean.clone(), torch.full_like(const, torch.inf)
        checked, large_enough = shortest.clone(), torch.zeros_like(const, dtype=torch.bool)
        window = max(1, self.steps // 10)
        active = ActiveImages(batch)
        w = torch.atanh((batch.clean / PIXEL_MAX * 2 - 1) * _SHRINK).requires_grad_()
        optimizer = torch.optim.Adam([w], self.learning_rate)
        for step in range(1, self.steps + 1):
            with torch.enable_grad():
                images = (w.tanh() + 1) / 2 * PIXEL_MAX
                missing, reached = self.missing(images, active.part)
                distance = _squared_distance(images, active.part)
                loss = distance + const[active.at] * missing
                (w.grad,) = torch.autograd.grad(loss.sum(), w)
            large_enough[active.at] = reached | (large_enough[active.at] & ((step - 1) % window > 0))
            nearer = reached & (distance < shortest[active.at])
            nearest[active.at] = images.detach().where(nearer.view(-1, 1, 1, 1), nearest[active.at])
            shortest[active.at] = distance.detach().where(nearer, shortest[active.at])
            optimizer.step()
            if self.abort_early and step % window == 0:
                falling = loss.detach() < 0.9999 * checked[active.at]
                checked[active.at] = loss.detach()
                if not active.keep(falling):
                    break
                w, optimizer = _keep(w, optimizer, falling)
        active.close()
        return nearest, shortest, large_enough

    def missing(self, images: Tensor, batch: AttackBatch) -> tuple[Tensor, Tensor]:
        """The shortfall from the margin, summed over pixels, ``(N,)``, and whether each image reaches it, ``(N,)``."""
        logits, labels, known = class_scores(images, batch)
        margin = margins(logits, labels, batch.source.task.ignore_index)
        margin = margin if batch.target is None else -margin
        reached = is_done((margin > 0) & (margin >= self.confidence), known, self.success_threshold)
        return (self.confidence - margin).clamp(min=0).where(known, 0).sum(1), reached


def _squared_distance(images: Tensor, batch: AttackBatch) -> Tensor:
    delta = (images - batch.clean) / PIXEL_MAX
    delta = delta if batch.mask is None else delta * batch.mask
    return delta.square().flatten(1).sum(1)


def _keep(w: Tensor, optimizer: torch.optim.Adam, chosen: Tensor) -> tuple[Tensor, torch.optim.Adam]:
    """Some of the images, and an optimizer that continues with them from the state of the given one."""
    if chosen.all():
        return w, optimizer
    kept = w.detach()[chosen].requires_grad_()
    going_on = torch.optim.Adam([kept], optimizer.defaults['lr'])
    going_on.state[kept] = {name: value[chosen] if value.ndim else value for name, value in optimizer.state[w].items()}
    return kept, going_on
