"""Columns of single images that take a few bytes per image."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

_CODES = {bool: 'b', int: 'q', float: 'd'}


class Column(Sequence):
    """Numbers of one type, any of which may be unknown; they come back exactly, the unknown ones as None.

    A list of floats takes 32 bytes for each of them, this one 8; a bool takes 1.

    Args:
        values: all of the same type but for None.
        kind: this type: ``bool``, ``int`` or ``float``.
    """

    def __init__(self, values: Sequence[Optional[float]], kind: type):
        self._kind = kind
        self._values = array(_CODES[kind], (kind() if value is None else value for value in values))
        self._unknown = frozenset(index for index, value in enumerate(values) if value is None)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        position = range(len(self))[index]
        return None if position in self._unknown else self._kind(self._values[position])

    def __iter__(self) -> Iterator[Any]:
        kind, unknown = self._kind, self._unknown
        return (None if index in unknown else kind(value) for index, value in enumerate(self._values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f'Column({list(self)!r})'


def compact(samples: Optional[Mapping[str, Sequence]]) -> Optional[dict[str, Any]]:
    """The columns of a result with numbers as :class:`Column`, and equal texts as one object."""
    return None if samples is None else {name: _compact(values) for name, values in samples.items()}


def _compact(values: Sequence) -> Sequence:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) == 1 and _CODES.keys() >= kinds:
        return Column(values, *kinds)
    return [sys.intern(value) if type(value) is str else value for value in values]
