"""The attacks of a grid by name, and which of them a threat model runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ...attacks import attack_settings, build_attack
from ...errors import UsageError
from ...threats import NATURAL
from ..results import CLEAN


@dataclass
class GridAttacks:
    """Attacks by name; a set of attacks is taken apart, ``'corruptions'`` into ``'corruptions: fog'`` and so on.

    Attributes:
        configs: of each attack by name.
        members: for each name in the config of a grid, the names in ``configs`` that it stands for.
        natural: the names of those without an attacker.
    """

    configs: dict[str, dict[str, Any]]
    members: dict[str, list[str]]
    natural: list[str]

    @classmethod
    def read(cls, entries: Mapping[str, Any]) -> GridAttacks:
        """Build every attack to check its config.

        Raises:
            UsageError: for a bad attack, or a name that is taken.
        """
        attacks = cls({}, {}, [])
        for name, entry in entries.items():
            if name == CLEAN:
                raise UsageError(f'{CLEAN!r} is reserved for clean images; rename the attack')
            config = attack_settings(entry)
            try:
                built = build_attack(config)
            except ValueError as error:
                raise UsageError(f'attack {name!r}: {error}') from error
            parts = {f'{name}: {part}': own for part, own in built.members().items()} or {name: config}
            taken = next((part for part in parts if part in attacks.configs), None)
            if taken is not None:
                raise UsageError(f'two attacks have the name {taken!r}; rename one of them')
            attacks.configs.update(parts)
            attacks.members[name] = list(parts)
            attacks.natural += [] if built.adversarial else list(parts)
        return attacks

    def of(self, natural: bool) -> list[str]:
        """What a threat model runs that is told nothing: all attacks with an attacker or, ``natural``, without one.

        Raises:
            UsageError: if there are none without an attacker.
        """
        if natural and not self.natural:
            raise UsageError(
                f"threat model {NATURAL!r} has nothing to run: add corruptions=dict(type='ImageNetC', severity=3) to "
                'attacks, or leave the threat model out'
            )
        return [name for name in self.configs if (name in self.natural) == natural]

    def named(self, names: Sequence[str], what: str) -> list[str]:
        """The attacks behind names of the config, or behind those of members.

        Raises:
            UsageError: for an unknown name; the message begins with ``what``.
        """
        found: list[str] = []
        for name in names:
            if name not in self.members and name not in self.configs:
                raise UsageError(f'{what}: unknown attack {name!r}; known: {list(self.members)}')
            found += self.members.get(name, [name])
        return found

    def check_all_run(self, threats: Sequence[Any]) -> None:
        """Raise a ``UsageError`` for attacks without an attacker where no threat model runs them."""
        run = {name for column in threats for name in column.attacks}
        idle = [name for name, parts in self.members.items() if parts[0] in self.natural and not run & set(parts)]
        if idle:
            raise UsageError(f'attack {idle[0]!r} has no attacker: add {NATURAL!r} to threat_models to run it')
