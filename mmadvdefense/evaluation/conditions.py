"""What the rows of a test are: clean images, and an attack under several threat models."""

from __future__ import annotations

from typing import Optional, Sequence

from ..attacks import WorstOf, build_attack
from ..registry import type_name
from ..threats import ThreatModel
from .results import CLEAN, Condition


def conditions(attack: Optional[dict], threats: Sequence[ThreatModel]) -> list[Condition]:
    """Clean images, and the attack under each threat model; in place of a set of attacks, each of its members.

    Args:
        attack: config of the attack; None for clean images alone.
        threats: what the attacker has and knows, one row each.

    Raises:
        mmadvdefense.errors.UnsupportedAttackError: for an attack that a threat model rules out.
        ValueError: for a bad attack.
    """
    rows = [Condition(CLEAN)]
    if attack is not None:
        built = build_attack(attack)
        name = built.title if isinstance(built, WorstOf) else type_name(attack['type'])
        tested = built.members() or {name: attack}
        for threat in threats:
            threat.check_attack(built)
            rows += [Condition(f'{own}, {threat.title}', config, threat) for own, config in tested.items()]
    return rows
