"""Several attacks of which the one counts that the tested model does worst under, image by image."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from torch import Tensor

from ..registry import ATTACKS
from ..settings import check_whole_number
from .base import Attack
from .batch import AttackBatch
from .build import build_attack
from .source import AttackSource

_BY_NEED = ('gradients', 'scores', 'decisions')


class Candidate(NamedTuple):
    """One of the attacks that an image meets, and its config."""

    attack: Attack
    config: dict


@ATTACKS.register_module()
class WorstOf(Attack):
    """Every image meets all attacks, and its result is that of the model that is tested under the worst of them.

    Which that is, an attacker who has another model cannot know: it is the evaluation's to say, as in AutoAttack (Croce
    and Hein, ICML 2020) and in "all or nothing" (Xie et al., CVPR 2019). So this attack cannot be run by itself:
    :class:`mmadvdefense.hooks.AttackHook` makes the images of each attack, asks the tested model, with its purifier,
    about all of them, and goes on with the one that it scores lowest on, the first of several.

    Args:
        attacks: configs, of one norm; each keeps its own budget. Another ``WorstOf`` among them counts as its attacks.

    Raises:
        ValueError: for no attacks or several norms; when run.
    """

    def __init__(self, attacks: Sequence[dict]):
        name = type(self).__name__
        self._candidates: list[Candidate] = []
        for config in attacks:
            attack = build_attack(config)
            nested = isinstance(attack, WorstOf)
            self._candidates += attack._candidates if nested else [Candidate(attack, dict(config))]
        if not self._candidates:
            raise ValueError(f'{name} needs at least one attack')
        parts = [candidate.attack for candidate in self._candidates]
        norms = sorted({part.norm for part in parts})
        if len(norms) > 1:
            raise ValueError(f'{name}: its attacks must have one norm, got {norms}')
        budgets = [part.eps for part in parts]
        super().__init__(None if None in budgets else max(budgets), norms[0])
        self.access = min((part.access for part in parts), key=_BY_NEED.index)
        self.averages_draws = all(part.averages_draws for part in parts)
        self.stochastic = any(part.stochastic for part in parts)

    def candidates(self, num_classes: int) -> list[Candidate]:
        """The attacks that an image of a task with so many classes meets."""
        return list(self._candidates)

    def check_source(self, source: AttackSource) -> None:
        raise self._refusal()

    def describe(self) -> str:
        return f'worst of {", ".join(candidate.attack.describe() for candidate in self._candidates)}'

    def perturb(self, batch: AttackBatch) -> Tensor:
        raise self._refusal()

    def _refusal(self) -> ValueError:
        return ValueError(
            f'{type(self).__name__} takes what is worst for the model that is tested, so it is for tests alone '
            '(tools/test.py, tools/robustness.py, AttackHook); anywhere else name one attack'
        )


@ATTACKS.register_module()
class EachTarget(WorstOf):
    """A targeted attack towards each of the most likely wrong classes; the worst for the tested model counts.

    The targeted evaluation of AutoAttack, which Align follows in section 4.10: nine target classes, those with the
    highest scores on the clean image, and an image counts as right only if it is right under all nine.

    Args:
        attack: config of any attack that takes ``targeted``.
        num_targets: how many classes; all wrong ones if there are fewer.
        settings: on top of those of ``attack``, such as ``eps``.

    Raises:
        ValueError: for an attack without a targeted form, or one that chooses its target otherwise; when run.
    """

    def __init__(self, attack: dict, num_targets: int = 9, **settings):
        config = {**attack, **settings}
        check_whole_number('EachTarget', num_targets=num_targets)
        if config.pop('targeted', 'top_wrong') != 'top_wrong':
            raise ValueError(
                "EachTarget chooses the targets of its attack, the most likely wrong classes: leave its 'targeted' out"
            )
        super().__init__([{**config, 'targeted': f'top_wrong_{rank}'} for rank in range(1, int(num_targets) + 1)])
        self._attack = build_attack({**config, 'targeted': 'top_wrong'})

    def candidates(self, num_classes: int) -> list[Candidate]:
        return self._candidates[: max(1, num_classes - 1)]

    @property
    def title(self) -> str:
        return f'{self._attack.title}, worst of {len(self._candidates)} targets'

    def describe(self) -> str:
        return f'{self.title} ({", ".join(self._attack.details())})'
