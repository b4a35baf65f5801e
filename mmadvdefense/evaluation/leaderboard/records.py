"""Dataclasses from JSON, strictly: every field is there, has its type, and there are no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ...errors import UsageError
from ...validation import did_you_mean

Record = TypeVar('Record')
_WORDS = {str: 'text', float: 'a number', int: 'an integer', bool: 'true or false', dict: 'an object', list: 'a list'}


def read_record(kind: type[Record], values: Any, where: str) -> Record:
    """An instance of a dataclass.

    Args:
        kind: a dataclass whose fields are text, numbers, flags, objects, other such dataclasses, lists of these, or
            optional.
        values: as JSON gives them.
        where: the beginning of messages: the file, and the place in it.

    Raises:
        UsageError: that names the first field that is missing, unknown or of another type, and by ``ValueError`` of
            the dataclass itself.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f'{where} must be an object, got {_shown(values)}')
    names = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            raise UsageError(f'{where} has an unknown field {name!r}; {did_you_mean(name, names)}')
    missing = [name for name in names if name not in values]
    if missing:
        raise UsageError(f'{where} lacks {", ".join(missing)}')
    hints = get_type_hints(kind)
    found = {name: _read(hints[name], values[name], f'{where}: {name}') for name in names}
    try:
        return kind(**found)
    except UsageError as error:
        raise UsageError(f'{where}: {error}') from error


def _read(hint: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Union:
        return None if value is None else _read(inner[0], value, where)
    if is_dataclass(hint):
        return read_record(hint, value, where)  # type: ignore[arg-type]
    if origin is list and isinstance(value, list):
        return [_read(inner[0], item, f'{where}[{index}]') for index, item in enumerate(value)]
    plain = origin or hint
    # JSON has one kind of number, and a flag is an integer in Python.
    accepted = (int, float) if plain is float else plain
    if not isinstance(value, accepted) or (isinstance(value, bool) and plain is not bool):
        raise UsageError(f'{where} must be {_WORDS[plain]}, got {_shown(value)}')
    return float(value) if plain is float else value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f'{text[:57]}...'
