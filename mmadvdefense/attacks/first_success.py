"""Attacks of increasing strength, applied to each image until one succeeds."""

from __future__ import annotations

from typing import Any, Sequence, Union

from torch import Tensor

from ..errors import UsageError
from ..registry import ATTACKS
from .balls import BALLS
from .base import Attack, build_attack, largest_budget
from .batch import AttackBatch
from .criteria import misleads_all_sources
from .source import AttackSource

_BY_NEED = ('gradients', 'scores', 'decisions', 'nothing')


@ATTACKS.register_module()
class FirstSuccess(Attack):
    """Each image keeps the result of the first attack that fools all source models, or else of the last.

    With BIM of increasing numbers of steps this is adaIFGSM (HGD, Liao et al., CVPR 2018, appendix D). For
    classification only. Images on which an attack succeeded are not attacked again.

    Args:
        attacks: configs, weakest first, with the same norm and choice of target; each keeps its own budget.

    Raises:
        ValueError: without attacks, or for attacks that differ in norm or target; when run, for a source that is not a
            classifier.
    """

    norms = tuple(BALLS)

    def __init__(self, attacks: Sequence[Union[dict[str, Any], Attack]]):
        self.attacks = [build_attack(attack) for attack in attacks]
        if not self.attacks:
            raise UsageError('FirstSuccess needs at least one attack')
        for what in ('norm', 'targeted'):
            values = [getattr(attack, what) for attack in self.attacks]
            if len(set(values)) > 1:
                raise UsageError(f'FirstSuccess: its attacks must have one {what}, got {values}')
        first = self.attacks[0]
        super().__init__(largest_budget(self.attacks), first.norm, first.targeted)
        self.access = min((attack.access for attack in self.attacks), key=_BY_NEED.index)
        self.supports_eot = all(attack.supports_eot for attack in self.attacks)
        self.stochastic = any(attack.stochastic for attack in self.attacks)
        self.undoes_failures = self.attacks[-1].undoes_failures

    def check_source(self, source: AttackSource) -> None:
        if not source.task.one_label:
            raise UsageError(
                f'FirstSuccess needs one predicted class per image, which no model for {source.task.name} has; '
                'use restarts of one attack'
            )
        for attack in self.attacks:
            attack.check_source(source)

    def describe(self) -> str:
        return f'first success of {", ".join(attack.describe() for attack in self.attacks)}'

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial = batch.clean.clone()
        active = list(range(len(batch)))
        for attack in self.attacks:
            part = batch.select(active).cropped()
            found = attack._inside(attack.perturb(part), part)
            height, width = found.shape[-2:]
            adversarial[active, :, :height, :width] = found
            done = [True] * len(active) if attack is self.attacks[-1] else misleads_all_sources(found, part).tolist()
            batch.merge(part, active)
            active = [index for index, is_done in zip(active, done) if not is_done]
            if not active:
                break
        return adversarial
