"""Curls & Whey: gradients of a model that one has, decisions of the model that one attacks (Shi et al., CVPR 2019)."""

from __future__ import annotations

from typing import Optional

import torch

from ..checkpoints import load_target
from ..models import build_model
from ..pipelines import config_channel_order
from ..registry import ATTACKS
from ..settings import check_whole_number
from .curls import Curls, Steps
from .oracle import Oracle
from .query import DecisionAttack
from .source import AttackSource


@ATTACKS.register_module()
class CurlsWhey(DecisionAttack):
    """Looks for an image that fools the model along gradients (Curls), then for smaller and smaller ones.

    Curls runs in the ball of radius ``eps`` and, for images that were found, in smaller ones by bisection. Whey then
    halves values of the change, those of one size at a time, as long as the model is fooled. The result is the smallest
    change (L2) that was found in the ball of radius ``eps``.

    Args:
        eps: radius of the ball in pixels (0-255).
        queries: how often the attacked model may be asked for a decision on each image.
        step_size: pixels (L-infinity) or length (L2) of one step.
        steps: of a trajectory.
        noise_std: standard deviation in pixels of the noise at which gradients are taken.
        rounds: how often the ball is made smaller.
        squeeze: whether to do the second part (Whey).
        substitute: the model whose gradients are taken, ``dict(config=..., checkpoint=..., trust=False)``: the
            paper's attacker, who may only ask the attacked model. None: the attacked model itself, whose gradients are
            then needed and counted as queries, beyond the number ``queries``.
        options: ``norm``, ``targeted`` and ``pixel_share`` of :class:`~mmadvdefense.attacks.query.QueryAttack`.

    Raises:
        ValueError: for a bad setting, or a substitute that predicts other classes than the attacked model.
    """

    def __init__(
        self,
        eps: float,
        queries: int = 3000,
        step_size: float = 0.0075 * 255,
        steps: int = 100,
        noise_std: float = 2.0,
        rounds: int = 12,
        squeeze: bool = True,
        substitute: Optional[dict] = None,
        **options,
    ):
        super().__init__(eps, queries, **options)
        name = type(self).__name__
        check_whole_number(name, steps=steps)
        check_whole_number(name, at_least=0, rounds=rounds)
        if not step_size > 0:
            raise ValueError(f'{name}: step_size is in pixels (0-255) and must be > 0, got {step_size}')
        if not noise_std >= 0:
            raise ValueError(f'{name}: noise_std is in pixels (0-255) and must be >= 0, got {noise_std}')
        if substitute is not None and not {'config', 'checkpoint'} <= set(substitute):
            raise ValueError(f'{name}: a substitute needs a config and a checkpoint, got {", ".join(substitute)}')
        self.trajectory = Steps(self.norm, float(step_size), int(steps), float(noise_std))
        self.rounds, self.squeeze = int(rounds), squeeze
        self.access = 'gradients' if substitute is None else 'decisions'
        self._substitute_config = substitute
        self._substitute: Optional[AttackSource] = None

    def search(self, oracle: Oracle) -> None:
        clean, tried = oracle.clean, oracle.active()
        small, large = clean.new_zeros(len(clean)), clean.new_full((len(clean),), self.eps)
        radius = large.clone()
        source = self._gradient_source(oracle.batch.source)
        with source.undisturbed():
            curls = Curls(oracle, source, self.trajectory)
            for _ in range(self.rounds + 1):
                if not tried:
                    break
                fooled = curls.run(tried, radius)
                failed = [i for i in tried if i not in fooled]
                small[failed] = radius[failed]
                large[fooled] = self.ball.size(oracle.best[fooled] - clean[fooled]).minimum(radius[fooled])
                radius = (small + large) / 2
                left = set(oracle.affordable())
                tried = [i for i in tried if oracle.found[i] and i in left]
        if self.squeeze:
            self._squeeze(oracle)

    def _squeeze(self, oracle: Oracle) -> None:
        clean = oracle.clean
        largest = int((oracle.best - clean).abs().amax().round())
        for level in (sign * size for size in range(largest, 0, -1) for sign in (1, -1)):
            change = oracle.best - clean
            cells = change.round() == level
            present = cells.flatten(1).any(1).tolist()
            index = [i for i in oracle.affordable() if present[i]]
            if index:
                halved = torch.where(cells[index], change[index] / 2, change[index])
                oracle.decisions(clean[index] + halved, index)

    def _gradient_source(self, attacked: AttackSource) -> AttackSource:
        if self._substitute_config is None:
            return attacked
        if self._substitute is None:
            config = self._substitute_config
            model = build_model(config['config'])
            load_target(model, config['checkpoint'], trust=config.get('trust', False))
            order = config.get('channel_order') or config_channel_order(config['config'])
            self._substitute = AttackSource(
                model.to(attacked.device).eval(), channel_order=attacked.channel_order, trained_on=order
            )
        ours, theirs = attacked.task.num_classes, self._substitute.task.num_classes
        if ours != theirs:
            raise ValueError(f'the substitute predicts {theirs} classes, the attacked model {ours}; both must agree')
        return self._substitute
