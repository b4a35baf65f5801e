"""Attacks from configs, with messages a person can act on."""

from __future__ import annotations

from typing import Union

from ..registry import ATTACKS, find_class, in_own_scope, named_types, type_name
from ..settings import did_you_mean
from .base import Attack


def attack_names() -> list[str]:
    """All registered attacks, sorted."""
    return sorted(name for name, cls in ATTACKS.module_dict.items() if issubclass(cls, Attack))


def attack_settings(config: dict) -> dict:
    """A copy of an attack's config that can be saved: it names the attack, and all within it, by their short names."""
    return named_types(dict(config), ATTACKS)


def build_attack(config: Union[dict, Attack]) -> Attack:
    """An attack from its config; an attack is passed through.

    Raises:
        ValueError: for an unknown name (the message lists near ones), or bad or unknown parameters.
    """
    if isinstance(config, Attack):
        return config
    kind = config.get('type')
    cls, name = find_class(kind, ATTACKS), type_name(kind)
    if cls is None or not issubclass(cls, Attack):
        shown = None if kind is None else name
        raise ValueError(f'unknown attack {shown!r}; {did_you_mean(name, attack_names())}')
    try:
        return ATTACKS.build(in_own_scope(config))
    except TypeError as error:
        raise ValueError(f'{name}: {error}') from error
