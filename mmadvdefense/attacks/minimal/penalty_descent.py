"""Minimization of the perturbation's size plus a penalty on the shortfall from a margin."""

from __future__ import annotations

import torch
from torch import Tensor

from ...pixels import PIXEL_MAX
from ..batch import AttackBatch
from ..objectives import margins
from .base import ActiveImages, class_scores, is_done

# Keeps pixels off the ends of the range, which tanh cannot reach; the value of the authors' code.
_SHRINK = 1 - 1e-6


class PenaltyDescent:
    """``min ||x - x_c||^2 + c * sum max(confidence - margin(x), 0)`` (Carlini and Wagner, S&P 2017, section VI A).

    ``margin`` is that of the best wrong class over the true one or, with a target, of the target over the best other
    class; the sum is over labelled pixels. Pixels are ``255 (tanh(w) + 1) / 2``, and Adam optimizes w. The distance is
    measured for pixels in 0-1, as in the paper, so that c and the learning rate are comparable.

    Args:
        confidence: the required margin.
        steps: number of Adam steps.
        learning_rate: of Adam.
        abort_early: stop for images whose loss has not decreased by 0.01 % in a tenth of the steps.
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
        """The nearest images that reach the margin, among all iterates of the descent from the clean images.

        Whether c is large enough is judged on the last tenth of the steps: Adam's first steps are as long for a small c
        as for a large one, and may go far beyond the margin.

        Args:
            batch: the images.
            const: c, ``(N,)``.

        Returns:
            ``(N, 3, H, W)``, their squared L2 distance for pixels in 0-1 ``(N,)``, infinite if none reaches the margin,
            and whether c is large enough ``(N,)``.
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
    """Select images, and create an optimizer that continues with their part of the state."""
    if chosen.all():
        return w, optimizer
    kept = w.detach()[chosen].requires_grad_()
    going_on = torch.optim.Adam([kept], optimizer.defaults['lr'])
    going_on.state[kept] = {name: value[chosen] if value.ndim else value for name, value in optimizer.state[w].items()}
    return kept, going_on
