"""Square: random search over square-shaped changes (Andriushchenko et al., ECCV 2020)."""

from __future__ import annotations

import math

import torch

from ..registry import ATTACKS
from .oracle import Oracle
from .query import ScoreAttack
from .square_moves import MOVES

# After how many of 10,000 queries the squares' area is halved, once more each time.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@ATTACKS.register_module()
class Square(ScoreAttack):
    """Changes one square at a time, at random, and keeps what raises the score (algorithms 1 to 3).

    Args:
        eps: radius of the ball in pixels (0-255).
        queries: how often the model may be asked for each image; one of them is about the clean image.
        p_init: share of the pixels that the first squares cover.
        options: of :class:`~mmadvdefense.attacks.query.ScoreAttack`.

    Raises:
        ValueError: for ``p_init`` outside (0, 1], and as the base class does.
    """

    def __init__(self, eps: float, queries: int = 10000, p_init: float = 0.8, **options):
        super().__init__(eps, queries, **options)
        if not 0 < p_init <= 1:
            raise ValueError(f'{type(self).__name__}: p_init is a share of the pixels in (0, 1], got {p_init}')
        self.p_init = p_init

    def side(self, step: int, height: int, width: int) -> int:
        """Side of the square in one step: ``sqrt(p h w)``, with p halved on the schedule, stretched to the queries."""
        progress = int(step / self.queries * 10000)
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
