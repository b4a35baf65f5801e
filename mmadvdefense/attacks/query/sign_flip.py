"""Sign Flip: a decision attack for L-infinity (Chen et al., ECCV 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ...registry import ATTACKS
from ..balls import LinfBall
from .base import DecisionAttack
from .boundary import noisy_starts
from .oracle import Oracle

# Values of the authors' code, in pixels 0-255.
_STEP = 0.004 * PIXEL_MAX
_KEEP, _KEEP_RANGE = 0.999, (0.99, 0.9999)
_ADJUST_EVERY, _SUCCESS_RANGE = 10, (0.3, 0.7)
_HALVINGS = 10


@ATTACKS.register_module()
class SignFlip(DecisionAttack):
    """Moves from noise that fools the model towards the clean image, alternately shrinking the perturbation and
    flipping some of its signs.

    Untargeted; the paper's targeted form starts from an image of the target class, which is not available here.

    Args:
        eps: radius of the L-infinity ball in pixels (0-255).
        queries: the number of queries allowed for each image; the first is the clean image.
        reduction: signs are drawn on a grid smaller than the image by this factor (the dimensionality reduction rate).
        options: ``success_threshold`` of :class:`~mmadvdefense.attacks.query.base.QueryAttack`.

    Raises:
        ValueError: for a ``reduction`` below 1, and as the base class does.
    """

    def __init__(self, eps: float, queries: int = 20000, reduction: float = 1.0, success_threshold: float = 0.5):
        super().__init__(eps, queries, success_threshold)
        if not reduction >= 1:
            raise UsageError(f'{type(self).__name__}: reduction must be at least 1, got {reduction}')
        self.reduction = reduction

    def search(self, oracle: Oracle) -> None:
        clean = oracle.clean
        delta = self._nearer(oracle, noisy_starts(oracle)) - clean
        rows, columns = (max(int(side // self.reduction), 1) for side in clean.shape[-2:])
        walk = _Walk(delta, (rows, columns))
        while oracle.active():
            self._shrink(oracle, walk)
            self._flip(oracle, walk)
            walk.adjust()

    def _nearer(self, oracle: Oracle, points: Tensor) -> Tensor:
        """Clip the perturbations to the smallest L-infinity norm that still fools the model, by bisection."""
        clean = oracle.clean
        low, high = clean.new_zeros(len(clean)), self.ball.size(points - clean)
        for _ in range(_HALVINGS):
            index = oracle.active()
            if not index:
                break
            middle = (low[index] + high[index]) / 2
            fooled = oracle.decisions(_cut(points[index], clean[index], middle), index)
            high[index] = torch.where(fooled, middle, high[index])
            low[index] = torch.where(fooled, low[index], middle)
        return _cut(points, clean, high)

    def _shrink(self, oracle: Oracle, walk: _Walk) -> None:
        index = oracle.active()
        if not index:
            return
        delta, step = walk.delta[index], walk.step[index]
        noise = oracle.randomness.select(index).uniform_like(walk.keep[index])
        noise = _enlarge((noise < 0.5).to(delta.dtype) * 2 - 1, delta)
        # The norm need not go below the budget.
        radius = (delta.flatten(1).abs().amax(1) - step).clamp(min=self.eps).view(-1, 1, 1, 1)
        proposal = (delta + step.view(-1, 1, 1, 1) * noise).clamp(-radius, radius)
        fooled = oracle.decisions((oracle.clean[index] + proposal).clamp(0, PIXEL_MAX), index)
        walk.delta[index] = torch.where(fooled.view(-1, 1, 1, 1), proposal, delta)
        walk.shrunk[index] += fooled

    def _flip(self, oracle: Oracle, walk: _Walk) -> None:
        index = oracle.active()
        if not index:
            return
        delta, keep = walk.delta[index], walk.keep[index]
        signs = (oracle.randomness.select(index).uniform_like(keep) < keep).to(delta.dtype) * 2 - 1
        proposal = delta * torch.where(_enlarge(signs, delta) < 0, -1.0, 1.0)
        fooled = oracle.decisions((oracle.clean[index] + proposal).clamp(0, PIXEL_MAX), index)
        accepted = fooled.view(-1, 1, 1, 1)
        walk.delta[index] = torch.where(accepted, proposal, delta)
        # Recently flipped signs become less likely to be flipped back.
        walk.keep[index] = torch.where(accepted, (keep - 1e-4 * signs).clamp(*_KEEP_RANGE), keep)
        walk.flipped[index] += fooled


class _Walk:
    """The current point of each image, and two settings adapted to the success rate of its steps.

    Attributes:
        delta: ``(N, 3, H, W)``, perturbation in pixels.
        step: ``(N,)``, decrease of the norm per shrinking step, in pixels.
        keep: ``(N, 3, h, w)``, probability of keeping a sign.
        shrunk: ``(N,)``, number of successful shrinking steps since the last adjustment.
        flipped: likewise, of successful flipping steps.
    """

    def __init__(self, delta: Tensor, grid: tuple[int, int]):
        self.delta = delta
        self.step = delta.new_full((len(delta),), _STEP)
        self.keep = delta.new_full((len(delta), 3, *grid), _KEEP)
        self.shrunk, self.flipped = torch.zeros_like(self.step), torch.zeros_like(self.step)
        self._rounds = 0

    def adjust(self) -> None:
        """Every tenth round, take larger steps for images whose steps mostly succeed, and smaller ones if few do."""
        self._rounds += 1
        if self._rounds % _ADJUST_EVERY:
            return
        low, high = (share * _ADJUST_EVERY for share in _SUCCESS_RANGE)
        self.step *= 1.5 ** ((self.shrunk > high).float() - (self.shrunk < low).float())
        change = 1e-3 * ((self.flipped < low).float() - (self.flipped > high).float())
        self.keep = (self.keep + change.view(-1, 1, 1, 1)).clamp(*_KEEP_RANGE)
        self.shrunk.zero_()
        self.flipped.zero_()


def _cut(points: Tensor, clean: Tensor, radius: Tensor) -> Tensor:
    return LinfBall(radius).project(points, clean)


def _enlarge(grid: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(grid, like.shape[-2:], mode='bilinear', align_corners=False)
