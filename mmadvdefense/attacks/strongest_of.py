"""Several attacks on each image, of which the one with the largest loss is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Sequence, Union

from torch import Tensor

from ..errors import UsageError
from ..registry import ATTACKS
from .balls import BALLS
from .base import Attack, build_attack, largest_budget
from .batch import AttackBatch
from .gradient.strongest import Strongest
from .objectives import build_objective
from .source import AttackSource


@ATTACKS.register_module()
class StrongestOf(Attack):
    """Runs every attack on each image and keeps the result with the largest loss of the attacked model.

    With one attack on the classification and one on the localization loss, it is the multi-task domain of MTD (Zhang
    and Wang, "Towards Adversarially Robust Object Detection", ICCV 2019, equation 8). The choice is the attacker's own,
    on the source; in :class:`WorstOf` the tested model decides. Losses of hosts are averages over a batch, so with
    ``objective='task_loss'`` each image is queried separately: one forward pass for each image and attack.

    Args:
        attacks: at least two configs with the same norm and choice of target; each keeps its own budget.
        objective: what is compared, a name or config of an objective; by default the whole loss of the task.

    Raises:
        ValueError: for fewer than two attacks, attacks that differ in norm or target, or an unknown objective.
    """

    norms = tuple(BALLS)

    def __init__(
        self, attacks: Sequence[Union[dict[str, Any], Attack]], objective: Union[str, dict[str, Any]] = 'task_loss'
    ):
        self.attacks = [build_attack(attack) for attack in attacks]
        if len(self.attacks) < 2:
            raise UsageError(f'StrongestOf chooses between attacks and needs at least two, got {len(self.attacks)}')
        for what in ('norm', 'targeted'):
            values = [getattr(attack, what) for attack in self.attacks]
            if len(set(values)) > 1:
                raise UsageError(f'StrongestOf: its attacks must have one {what}, got {values}')
        self.objective = build_objective(objective)
        super().__init__(largest_budget(self.attacks), self.attacks[0].norm, self.attacks[0].targeted)
        self.supports_eot = all(attack.supports_eot for attack in self.attacks)
        self.stochastic = any(attack.stochastic for attack in self.attacks)

    def check_source(self, source: AttackSource) -> None:
        for attack in self.attacks:
            attack.check_source(source)
        self.objective.check_task('StrongestOf', source.task)

    def scaled(self, share: float) -> StrongestOf:
        scaled = StrongestOf([attack.scaled(share) for attack in self.attacks])
        scaled.objective = self.objective
        return scaled

    def describe(self) -> str:
        return f'strongest of {", ".join(attack.describe() for attack in self.attacks)}'

    def perturb(self, batch: AttackBatch) -> Tensor:
        strongest = Strongest(self.objective)
        for number, attack in enumerate(self.attacks):
            # The choices that one attack makes for the batch are not the next one's.
            part = replace(batch, randomness=batch.randomness.derive('attack', number), _choice=None)
            strongest.offer(attack._inside(attack.perturb(part), part), part)
            batch.queries += part.queries
            batch.nonfinite += part.nonfinite
        return strongest.images
