"""Signs that a defense hides its gradient rather than resists, from the numbers that a grid has anyway.

Athalye et al., "Obfuscated Gradients Give a False Sense of Security", ICML 2018, section 3.1; Pintor et al.,
"Indicators of Attack Failure", NeurIPS 2022. An indicator is a reason to look, not a proof.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Optional, Sequence

from ..attacks import Attack, build_attack
from ..pixels import PIXEL_MAX
from .attackers import attacker_groups
from .results import Result

# Half of the range takes every L-infinity image to grey.
_UNBOUNDED = PIXEL_MAX / 2
# Per cent; smaller differences may be chance.
_TOLERANCE = 1.0
# Settings that usually grow with eps.
_SCALES_WITH_EPS = ('eps', 'step_size', 'step_sizes', 'start_std')


@dataclass(frozen=True)
class _Attacked:
    """One attack on one defense, with the mean score of the images in per cent."""

    name: str
    threat: str
    config: dict[str, Any]
    attack: Attack
    score: float
    images: int
    # Images that stay correct: those that were not changed, and those whose loss never rose.
    unchanged: int
    flat: int
    informed: bool

    @property
    def title(self) -> str:
        return f'{self.name} under {self.threat}'

    @property
    def gradients(self) -> bool:
        """Whether this is an attack along the gradient of all that is attacked."""
        return self.informed and self.attack.access == 'gradients'

    @property
    def budget(self) -> Optional[float]:
        return self.attack.eps

    def beats(self, other: _Attacked) -> bool:
        """Whether it leaves a score that is lower by more than chance."""
        return self.score < other.score - max(_TOLERANCE, 100 / self.images)

    def within(self, other: _Attacked) -> bool:
        """Whether it has no more of the same kind of budget."""
        ours, theirs = self.budget, other.budget
        return self.attack.norm == other.attack.norm and ours is not None and theirs is not None and ours <= theirs

    def __str__(self) -> str:
        return f'{self.title} ({self.score:.1f} %)'


def masking_signs(results: Iterable[tuple[str, str, Result]]) -> list[str]:
    """One line for each indicator of each defense.

    Args:
        results: title of the threat model, name of the attack, and result, of all cells of a grid that were attacked.
    """
    by_defense: dict[str, list[_Attacked]] = {}
    for title, name, result in results:
        found = _attacked(name, title, result)
        if found is not None:
            by_defense.setdefault(result.defense, []).append(found)
    return [
        f'{defense}: possibly a hidden gradient: {line}' for defense, own in by_defense.items() for line in _signs(own)
    ]


def _attacked(name: str, title: str, result: Result) -> Optional[_Attacked]:
    threat, config, score = result.condition.threat_model, result.condition.attack, result.scores.get('score')
    if threat is None or config is None or score is None or result.samples is None:
        return None
    samples = result.samples
    rises = samples.get('rise', [None] * len(samples['linf']))
    still = [(size, rise) for right, size, rise in zip(samples['correct'], samples['linf'], rises) if right]
    return _Attacked(
        name,
        title,
        config,
        build_attack(config),
        score,
        len(samples['correct']),
        sum(size == 0 for size, _ in still),
        sum(size > 0 and rise is not None and rise <= 0 for size, rise in still),
        'informed' in attacker_groups(threat.name, result.purifier),
    )


def _signs(attacked: Sequence[_Attacked]) -> Iterator[str]:
    gradients = [own for own in attacked if own.gradients]
    for own in gradients:
        if own.unchanged and own.budget and not own.attack.undoes_failures:
            yield (
                f'{own.title} left {own.unchanged} of {own.images} images as they are, which stay correct: '
                'their gradient is zero'
            )
        if own.flat > max(_TOLERANCE * own.images / 100, 1):
            yield (
                f'{own.title} never raised its loss above that of the start on {own.flat} of {own.images} images, '
                'which stay correct'
            )
        if own.budget is not None and own.attack.norm == 'linf' and own.budget >= _UNBOUNDED:
            if own.score > max(_TOLERANCE, 100 / own.images):
                yield f'{own} may change any pixel to anything, and should reach 0 %'
    yield from _one_step(gradients)
    yield from _without_gradients(attacked, gradients)
    yield from _larger_budgets(gradients)


def _one_step(gradients: Sequence[_Attacked]) -> Iterator[str]:
    for single, many in itertools.permutations(gradients, 2):
        targeted = single.attack.targeted or many.attack.targeted
        same = single.budget == many.budget and single.within(many)
        if same and not targeted and _steps(single) == 1 and _steps(many) > 1 and single.beats(many):
            yield f'one step does better than many: {single}, {many}'


def _steps(attacked: _Attacked) -> int:
    return getattr(attacked.attack, 'steps', None) or 0


def _without_gradients(attacked: Sequence[_Attacked], gradients: Sequence[_Attacked]) -> Iterator[str]:
    """The strongest attack with the gradient against those without it that have no larger budget."""
    if not gradients:
        return
    strongest = min(gradients, key=lambda own: own.score)
    for other in attacked:
        if not other.gradients and other.within(strongest) and other.beats(strongest):
            yield f'an attacker without its gradient does better: {other}, {strongest} at best'


def _larger_budgets(gradients: Sequence[_Attacked]) -> Iterator[str]:
    families: dict[tuple, list[_Attacked]] = {}
    for own in gradients:
        if own.budget is not None:
            same = sorted((key, repr(value)) for key, value in own.config.items() if key not in _SCALES_WITH_EPS)
            families.setdefault((own.threat, *same), []).append(own)
    for family in families.values():
        for small, large in itertools.pairwise(sorted(family, key=lambda own: own.budget or 0)):
            if small.budget != large.budget and small.beats(large):
                yield f'a larger budget does less: {small}, {large}'
