"""Checks of settings that attacks, purifiers and data sets share; their messages name the culprit."""

from __future__ import annotations

import difflib
from typing import Iterable, Optional

from .errors import UsageError

# How many known names a message lists where none is near.
_SHOWN = 30


def check_integer(owner: str, at_least: int = 1, **settings: Optional[float]) -> None:
    """Raise a ``ValueError`` that begins with ``owner`` for a setting that is not an integer, or too small a one."""
    for name, value in settings.items():
        if value is None or not value >= at_least or value % 1:
            raise UsageError(f'{owner}: {name} must be an integer >= {at_least}, got {value}')


def near_names(name: object, known: Iterable[str], most: int = 3, cutoff: float = 0.3) -> list[str]:
    """Known names that a misspelled one may stand for, the nearest first; upper and lower case count as equal.

    Args:
        name: what was given.
        known: what could have been given.
        most: how many are returned at most.
        cutoff: how similar a name must be, from 0 to 1 (equal).
    """
    by_lower = {own.lower(): own for own in known}
    return [by_lower[own] for own in difflib.get_close_matches(str(name).lower(), by_lower, n=most, cutoff=cutoff)]


def did_you_mean(name: object, known: Iterable[str], most: int = 3, cutoff: float = 0.3) -> str:
    """The end of a message about an unknown name: the near ones, or the first of the known ones if none is near.

    Args:
        name: see :func:`near_names`.
        known: see :func:`near_names`.
        most: see :func:`near_names`.
        cutoff: see :func:`near_names`.
    """
    near = near_names(name, known, most, cutoff)
    if near:
        *others, last = near
        return f'did you mean {" or ".join([*([", ".join(others)] if others else []), last])}?'
    known = list(known)
    more = f' and {len(known) - _SHOWN} more' if len(known) > _SHOWN else ''
    return f'known: {", ".join(known[:_SHOWN])}{more}'
