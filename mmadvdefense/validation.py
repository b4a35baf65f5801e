"""Checks of settings that attacks, purifiers and data sets share; their messages name the culprit."""

from __future__ import annotations

import difflib
from typing import Optional, Sequence

from .errors import UsageError


def check_integer(owner: str, at_least: int = 1, **settings: Optional[float]) -> None:
    """Raise a ``ValueError`` that begins with ``owner`` for a setting that is not an integer, or too small a one."""
    for name, value in settings.items():
        if value is None or not value >= at_least or value % 1:
            raise UsageError(f'{owner}: {name} must be an integer >= {at_least}, got {value}')


def did_you_mean(name: object, known: Sequence[str]) -> str:
    """The end of a message about an unknown name: those that are near it, or all if none is."""
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.3) or known
    return f'did you mean {", ".join(near)}?'
