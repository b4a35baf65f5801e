"""Square: random search over square-shaped perturbations (Andriushchenko et al., ECCV 2020)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ...randomness import Randomness
from ...registry import ATTACKS
from .base import ScoreAttack
from .oracle import Oracle

# The queries, out of 10,000, after which the area of the squares is halved.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@ATTACKS.register_module()
class Square(ScoreAttack):
    """Changes one random square at a time and keeps changes that raise the score (algorithms 1 to 3).

    Args:
        eps: radius of the ball in pixels (0-255).
        queries: the number of queries allowed for each image; the first is the clean image.
        p_init: share of the pixels covered by the first squares.
        rescale: whether the schedule of the squares' size, published for 10,000 queries, is stretched or compressed to
            the number of queries; AutoAttack does not.
        options: of :class:`~mmadvdefense.attacks.query.base.ScoreAttack`.

    Raises:
        ValueError: for ``p_init`` outside (0, 1], and as the base class does.
    """

    def __init__(self, eps: float, queries: int = 10000, p_init: float = 0.8, rescale: bool = True, **options: Any):
        super().__init__(eps, queries, **options)
        if not 0 < p_init <= 1:
            raise UsageError(f'{type(self).__name__}: p_init is a share of the pixels in (0, 1], got {p_init}')
        self.p_init = p_init
        self.rescale = rescale

    def side(self, step: int, height: int, width: int) -> int:
        """Side of the square at a step: ``sqrt(p h w)``, with p halved on a schedule, see ``rescale``."""
        progress = int(step / self.queries * 10000) if self.rescale else step
        share = self.p_init / 2 ** sum(progress > halving for halving in _HALVINGS)
        return max(min(round(math.sqrt(share * height * width)), height, width), 1)

    def search(self, oracle: Oracle) -> None:
        index = oracle.active()
        if not index:
            return
        moves, clean = MOVES[self.norm](self.eps), oracle.clean
        current, score = clean.clone(), clean.new_full((len(clean),), -torch.inf)
        current[index] = moves.start(clean[index], oracle.randomness.select(index))
        score[index] = oracle.scores(current[index], index)
        for step in range(self.queries):
            index = oracle.active()
            if not index:
                break
            side = self.side(step, *clean.shape[-2:])
            proposal = moves.propose(current[index], clean[index], side, oracle.randomness.select(index))
            value = oracle.scores(proposal, index)
            better = value > score[index]
            current[index] = torch.where(better.view(-1, 1, 1, 1), proposal, current[index])
            score[index] = torch.where(better, value, score[index])


class Moves(ABC):
    """Proposals inside the ball of radius ``eps`` (pixels) and the pixel range."""

    def __init__(self, eps: float):
        self.eps = eps

    @abstractmethod
    def start(self, clean: Tensor, randomness: Randomness) -> Tensor: ...

    @abstractmethod
    def propose(self, current: Tensor, clean: Tensor, side: int, randomness: Randomness) -> Tensor:
        """Change a square of ``side`` pixels at a random position of each image."""


class LinfMoves(Moves):
    """Each pixel changes by ``eps`` up or down: stripes first, then squares of one sign per channel (algorithm 2)."""

    def start(self, clean: Tensor, randomness: Randomness) -> Tensor:
        return (clean + self.eps * _signs(randomness, clean[:, :, :1])).clamp(0, PIXEL_MAX)

    def propose(self, current: Tensor, clean: Tensor, side: int, randomness: Randomness) -> Tensor:
        square = _Window(current, side, randomness).mask
        signs = _signs(randomness, clean[:, :, :1, :1])
        return torch.where(square, (clean + self.eps * signs).clamp(0, PIXEL_MAX), current)


class L2Moves(Moves):
    """The perturbation has norm ``eps``, part of which moves from one window to another (algorithm 3)."""

    def start(self, clean: Tensor, randomness: Randomness) -> Tensor:
        height, width = clean.shape[-2:]
        side = min(max(min(height, width) // 5, 2), height, width)
        rows, columns = height // side, width // side
        grid = clean[:, :, :rows, :columns]
        tiles = _bumps(side, randomness, grid[:, :1]) * _signs(randomness, grid)[..., None, None]
        delta = tiles.transpose(3, 4).flatten(4).flatten(2, 3)
        above, left = (height - rows * side) // 2, (width - columns * side) // 2
        below, right = height - rows * side - above, width - columns * side - left
        return self._scaled(F.pad(delta, (left, right, above, below)), clean)

    def propose(self, current: Tensor, clean: Tensor, side: int, randomness: Randomness) -> Tensor:
        # The pattern needs an odd side.
        side = min(max(side | 1, 3), *current.shape[-2:])
        delta = current - clean
        window, donor = _Window(delta, side, randomness), _Window(delta, side, randomness)
        bump = window.paste(_bumps(side, randomness, delta[:, 0, 0, 0]))
        new = bump * _signs(randomness, delta[:, :, :1, :1]) + _unit(delta * window.mask)
        unused = (self.eps**2 - delta.square().sum((1, 2, 3), keepdim=True)).clamp(min=0)
        available = (delta * (window.mask | donor.mask)).square().sum((2, 3), keepdim=True) + unused / 3
        new = _unit(new) * available.sqrt()
        return self._scaled(torch.where(window.mask, new, delta * ~donor.mask), clean)

    def _scaled(self, delta: Tensor, clean: Tensor) -> Tensor:
        size: Tensor = torch.linalg.vector_norm(delta.flatten(1), dim=1).clamp(min=torch.finfo(delta.dtype).tiny)
        return (clean + delta * (self.eps / size).view(-1, 1, 1, 1)).clamp(0, PIXEL_MAX)


class _Window:
    """A square at a random position of each image."""

    def __init__(self, like: Tensor, side: int, randomness: Randomness):
        height, width = like.shape[-2:]
        draw = randomness.uniform_like(like[:, :2, 0, 0])
        top = (draw[:, :1] * (height - side + 1)).long()
        left = (draw[:, 1:] * (width - side + 1)).long()
        self.side = side
        self.rows = torch.arange(height, device=like.device) - top
        self.columns = torch.arange(width, device=like.device) - left
        inside_rows, inside_columns = ((line >= 0) & (line < side) for line in (self.rows, self.columns))
        self.mask = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]

    def paste(self, patch: Tensor) -> Tensor:
        """Paste a ``(N, side, side)`` patch at the window's position into zeros ``(N, 1, H, W)``."""
        rows, columns = (line.clamp(0, self.side - 1) for line in (self.rows, self.columns))
        image = torch.arange(len(patch), device=patch.device)[:, None, None]
        return patch[image, rows[:, :, None], columns[:, None, :]][:, None] * self.mask


def _signs(randomness: Randomness, like: Tensor) -> Tensor:
    return (randomness.uniform_like(like) < 0.5).to(like.dtype) * 2 - 1


def _unit(delta: Tensor) -> Tensor:
    """Normalize each channel to L2 norm 1."""
    return delta / delta.square().sum((2, 3), keepdim=True).sqrt().clamp(min=torch.finfo(delta.dtype).tiny)


def _bumps(side: int, randomness: Randomness, like: Tensor) -> Tensor:
    """A positive and a negative bump side by side, randomly oriented: ``like.shape + (side, side)``, each of norm 1."""
    upper, lower = _pyramid(side // 2, side, like), _pyramid(side - side // 2, side, like)
    bump = torch.cat([upper, -lower])
    bump = bump / bump.norm()
    return torch.where((randomness.uniform_like(like) < 0.5)[..., None, None], bump, bump.T)


def _pyramid(height: int, width: int, like: Tensor) -> Tensor:
    """Nested rectangles around the centre, the k-th of which adds a height of ``1 / k^2`` to the next outer one."""
    rows, columns = torch.arange(height, device=like.device), torch.arange(width, device=like.device)
    distance = torch.maximum((rows - height // 2).abs()[:, None], (columns - width // 2).abs())
    count = max(height, width) // 2 + 1
    steps = 1 / torch.arange(1, count + 1, device=like.device, dtype=like.dtype) ** 2
    pyramid: Tensor = steps.flip(0).cumsum(0).flip(0)[distance]
    return pyramid


MOVES: dict[str, type[Moves]] = {'linf': LinfMoves, 'l2': L2Moves}
