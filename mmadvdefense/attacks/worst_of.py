"""Several attacks, of which for each image the one counts under which the tested model does worst."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from torch import Tensor

from ..errors import UsageError
from ..registry import ATTACKS
from ..tasks import Task
from ..validation import check_integer
from .base import Attack, build_attack, largest_budget
from .batch import AttackBatch
from .source import AttackSource

_BY_NEED = ('gradients', 'scores', 'decisions')


class Candidate(NamedTuple):
    """One of the attacks on an image.

    Attributes:
        attack: the attack.
        config: its config.
        restart: 0 for the first run, else the number of the restart, which has random numbers of its own.
        rank: rank of its target among the wrong classes, if it is skipped where there are fewer; else 0.
    """

    attack: Attack
    config: dict[str, Any]
    restart: int = 0
    rank: int = 0


def num_target_classes(task: Task) -> int:
    """How many classes an attack can aim at: an ignored one does not count, even if the model scores it."""
    classes = task.num_classes or 0
    return classes - (task.ignore_index is not None and 0 <= task.ignore_index < classes)


@ATTACKS.register_module()
class WorstOf(Attack):
    """Every image gets all attacks, and its result is that of the tested model under the worst of them.

    An attacker with another model cannot know which that is: the evaluation decides, as in AutoAttack (Croce and Hein,
    ICML 2020) and in "all or nothing" (Xie et al., CVPR 2019). So this attack cannot be run by itself:
    :class:`mmadvdefense.hooks.AttackHook` makes the images of each attack, runs the tested model, with its purifier, on
    all of them, and keeps the one with the lowest score, the first of several.

    Args:
        attacks: configs, of one norm; each keeps its own budget. Another ``WorstOf`` among them counts as its attacks.
        restarts: how often each attack is run, with other random numbers. The ``restarts`` of an attack itself differ:
            they keep the image that is strongest on the source.

    Raises:
        ValueError: for no attacks, several norms, or restarts of an attack that is not random; when run.
    """

    def __init__(self, attacks: Sequence[dict[str, Any]], restarts: int = 1):
        name = type(self).__name__
        check_integer(name, restarts=restarts)
        self.restarts = int(restarts)
        self._candidates: list[Candidate] = []
        for config in attacks:
            attack = build_attack(config)
            if self.restarts > 1 and not attack.stochastic:
                raise UsageError(
                    f'{name}: all restarts of {attack.describe()} would be the same, since it draws nothing at random'
                )
            single = [Candidate(attack, dict(config))]
            parts = attack._candidates if isinstance(attack, WorstOf) else single
            highest = max(part.restart for part in parts) + 1
            again = range(0, highest * self.restarts, highest)
            self._candidates += [part._replace(restart=part.restart + first) for part in parts for first in again]
        if not self._candidates:
            raise UsageError(f'{name} needs at least one attack')
        built = [candidate.attack for candidate in self._candidates]
        norms = sorted({attack.norm for attack in built})
        if len(norms) > 1:
            raise UsageError(f'{name}: its attacks must have one norm, got {norms}')
        super().__init__(largest_budget(built), norms[0])
        self.access = min((attack.access for attack in built), key=_BY_NEED.index)
        self.supports_eot = all(attack.supports_eot for attack in built)
        self.stochastic = any(attack.stochastic for attack in built)

    @property
    def needs_labels(self) -> bool:
        return any(candidate.attack.needs_labels for candidate in self._candidates)

    def candidates(self, num_classes: int) -> list[Candidate]:
        """The attacks on an image of a task with this many classes (see :func:`num_target_classes`)."""
        return [candidate for candidate in self._candidates if candidate.rank < max(2, num_classes)]

    def check_source(self, source: AttackSource) -> None:
        raise self._refusal()

    def describe(self) -> str:
        titles = dict.fromkeys(candidate.attack.describe() for candidate in self._candidates)
        return f'worst of {", ".join(titles)}{self._times()}'

    def _times(self) -> str:
        return f', {self.restarts} restarts' if self.restarts > 1 else ''

    def perturb(self, batch: AttackBatch) -> Tensor:
        raise self._refusal()

    def _refusal(self) -> UsageError:
        return UsageError(
            f'{type(self).__name__} takes what is worst for the model that is tested, so it is for tests alone '
            '(tools/test.py, tools/robustness.py, AttackHook); anywhere else name one attack'
        )


@ATTACKS.register_module()
class EachTarget(WorstOf):
    """A targeted attack towards each of the most likely wrong classes; the worst for the tested model counts.

    The targeted evaluation of AutoAttack, which Align follows in section 4.10: nine target classes, those with the
    highest scores on the clean image, and an image counts as correct only if it is correct under all nine.

    Args:
        attack: config of any attack that takes ``targeted``.
        num_targets: how many classes; all wrong ones if there are fewer.
        restarts: as for :class:`WorstOf`.
        settings: on top of those of ``attack``, such as ``eps``.

    Raises:
        ValueError: for an attack without a targeted form, or one that chooses its target otherwise; when run.
    """

    def __init__(self, attack: dict[str, Any], num_targets: int = 9, restarts: int = 1, **settings: Any):
        config = {**attack, **settings}
        check_integer('EachTarget', num_targets=num_targets)
        if config.pop('targeted', 'top_wrong') != 'top_wrong':
            raise UsageError(
                "EachTarget chooses the targets of its attack, the most likely wrong classes: leave its 'targeted' out"
            )
        ranks = range(1, int(num_targets) + 1)
        super().__init__([{**config, 'targeted': f'top_wrong_{rank}'} for rank in ranks], restarts)
        runs = enumerate(self._candidates)
        self._candidates = [run._replace(rank=index // self.restarts + 1) for index, run in runs]
        self.num_targets = int(num_targets)
        self._attack = build_attack({**config, 'targeted': 'top_wrong'})

    @property
    def title(self) -> str:
        return f'{self._attack.title}, worst of {self.num_targets} targets{self._times()}'

    def describe(self) -> str:
        return f'{self.title} ({", ".join(self._attack.details())})'
