"""The worst case over several attacks, for each image, on the tested model."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from torch import Tensor

from ..errors import UsageError
from ..registry import ATTACKS
from ..tasks import Task
from ..validation import check_integer
from .balls import BALLS
from .base import Attack, build_attack, largest_budget
from .batch import AttackBatch
from .source import AttackSource

# By what the worst version of an image is found: see :class:`WorstOf`.
WORST_BY = ('score', 'accuracy', 'miou')
_BY_NEED = ('gradients', 'scores', 'decisions', 'nothing')


class Candidate(NamedTuple):
    """One of the attacks to be tried on each image.

    Attributes:
        attack: the attack.
        config: its config.
        restart: 0 for the first run, else the number of the restart, which draws its own random numbers.
        rank: rank of its target among the wrong classes, if it is skipped when there are fewer; else 0.
    """

    attack: Attack
    config: dict[str, Any]
    restart: int = 0
    rank: int = 0


def num_target_classes(task: Task) -> int:
    """Number of classes that can be targets: an ignored class is excluded, even if the model has a score for it."""
    classes = task.num_classes or 0
    return classes - (task.ignore_index is not None and 0 <= task.ignore_index < classes)


@ATTACKS.register_module()
class WorstOf(Attack):
    """Runs all attacks on every image and keeps the one under which the tested model does worst.

    An attacker with another model cannot know which one that is: the evaluation decides, as in AutoAttack (Croce and
    Hein, ICML 2020) and in "all or nothing" (Xie et al., CVPR 2019). Therefore this attack cannot be run on its own:
    :class:`mmadvdefense.hooks.AttackHook` crafts the images of each attack, runs the tested model with its purifier on
    all of them, and keeps the one with the lowest score, or the first in case of ties.

    Args:
        attacks: configs with the same norm; each keeps its own budget. A nested ``WorstOf`` is flattened.
        restarts: how often each attack is run, with different random numbers. In contrast, an attack's own ``restarts``
            keep the image that is strongest on the source.
        worst_by: ``'score'`` of single images (:class:`mmadvdefense.tasks.SampleScores`); for segmentors also
            ``'accuracy'``, the share of right pixels, or ``'miou'``: of each image the version that lowers the mean IoU
            of the data set most (:class:`mmadvdefense.threats.worst_case.LowestMeanIoU`).

    Raises:
        ValueError: without attacks, for an unknown ``worst_by``, for different norms, or for restarts of a
            deterministic attack; always when run.
    """

    norms = tuple(BALLS)

    def __init__(self, attacks: Sequence[dict[str, Any]], restarts: int = 1, worst_by: str = 'score'):
        name = type(self).__name__
        check_integer(name, restarts=restarts)
        if worst_by not in WORST_BY:
            raise UsageError(f'{name}: unknown worst_by={worst_by!r}; known: {", ".join(WORST_BY)}')
        self.worst_by = worst_by
        self.restarts = int(restarts)
        self._candidates: list[Candidate] = []
        for config in attacks:
            attack = build_attack(config)
            if self.restarts > 1 and not attack.stochastic:
                raise UsageError(
                    f'{name}: all restarts of {attack.describe()} would be the same, since it is deterministic'
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
        by = {'accuracy': ' by pixel accuracy', 'miou': ' by mIoU'}.get(self.worst_by, '')
        return by + (f', {self.restarts} restarts' if self.restarts > 1 else '')

    def perturb(self, batch: AttackBatch) -> Tensor:
        raise self._refusal()

    def _refusal(self) -> UsageError:
        return UsageError(
            f'{type(self).__name__} takes the worst case over the tested model, so it works in tests only '
            '(tools/test.py, tools/robustness.py, AttackHook); elsewhere, use a single attack'
        )


@ATTACKS.register_module()
class EachTarget(WorstOf):
    """A targeted attack towards each of the most likely wrong classes; the worst case on the tested model counts.

    The targeted evaluation of AutoAttack, which Align follows in section 4.10: the nine wrong classes with the highest
    scores on the clean image are targets, and an image counts as correct only if it is correct under all nine.

    Args:
        attack: config of any attack that takes ``targeted``.
        num_targets: number of target classes; all wrong ones if there are fewer.
        restarts: as for :class:`WorstOf`.
        settings: override those of ``attack``, such as ``eps``.

    Raises:
        ValueError: for an attack without a targeted form, or with its own choice of target; always when run.
    """

    def __init__(self, attack: dict[str, Any], num_targets: int = 9, restarts: int = 1, **settings: Any):
        config = {**attack, **settings}
        check_integer('EachTarget', num_targets=num_targets)
        if config.pop('targeted', 'top_wrong') != 'top_wrong':
            raise UsageError(
                "EachTarget sets the targets of its attack to the most likely wrong classes: omit 'targeted' there"
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


@ATTACKS.register_module()
class EachPart(WorstOf):
    """Runs each part of an attack such as SEA or SegAutoAttack by itself; the worst case on the tested model counts.

    Such an attack itself keeps the part that is worst for the source.

    Args:
        attack: config of an attack that has ``parts()``.
        worst_by: as for :class:`WorstOf`: ``'accuracy'`` and ``'miou'`` are the two worst cases that SEA reports.
        settings: override those of ``attack``, such as ``eps``.

    Raises:
        ValueError: for an attack of one piece; always when run.
    """

    def __init__(self, attack: dict[str, Any], worst_by: str = 'accuracy', **settings: Any):
        whole = build_attack({**attack, **settings})
        parts = getattr(whole, 'parts', None)
        if parts is None:
            raise UsageError(f'EachPart: {whole.title} has no parts; it takes SEA or SegAutoAttack')
        super().__init__(parts(), worst_by=worst_by)
        self._whole = whole

    @property
    def title(self) -> str:
        return f'{self._whole.title}, worst part{self._times()}'

    def describe(self) -> str:
        return f'{self.title} ({", ".join(self._whole.details())})'
