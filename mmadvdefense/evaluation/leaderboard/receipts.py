"""Whether a row can be made again: its command, its grid, and the exports that it names are what its receipt says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Optional, Union

from mmengine.config import Config

from ...digests import file_digest
from ...errors import UsageError
from ...zoo import SCHEME, zoo_file
from ..grid.protocol import filled, without_instructions
from .row import Row

_TOOL = 'python tools/robustness.py'


def grid_command(grid: str, scale: Optional[str] = None) -> str:
    """The command that runs a grid at a scale."""
    return f'{_TOOL} {grid}' + (f' --scale {scale}' if scale else '')


def check_receipt(row: Row, root: Union[str, Path] = '.') -> None:
    """Check that everything that a receipt names is there, and is the same.

    Args:
        row: of a result file.
        root: of the clone.

    Raises:
        UsageError: that names the row, what is wrong, and what to do.
    """
    receipt, root = row.receipt, Path(root)
    try:
        for command in (receipt.command, receipt.command_8bit) if row.attacks_8bit else (receipt.command,):
            if not (command or '').startswith(f'{_TOOL} {receipt.grid}'):
                raise UsageError(f'has no command that runs {receipt.grid or "its grid"}, but {command!r}')
        entry = grid_entry(root / receipt.grid, receipt.defense)
        if entry != receipt.config:
            raise UsageError(
                f'is of {receipt.config}, and {receipt.grid} has {entry} for {receipt.defense!r} now: run it again'
            )
        if set(receipt.files) != set(exports(receipt.config)):
            raise UsageError(f'has digests of {sorted(receipt.files)}, but uses {sorted(exports(receipt.config))}')
        for name, digest in receipt.files.items():
            try:
                found = file_digest(zoo_file(name))
            except UsageError as error:
                raise UsageError(f'names {name}: {error}') from error
            if found != digest:
                raise UsageError(
                    f'is of another {name}: its SHA-256 was {digest[:12]}... and is {found[:12]}...: run it again'
                )
    except (UsageError, FileNotFoundError) as error:
        raise UsageError(f'{row.path} has no valid receipt: it {error}') from error


def grid_entry(grid: Path, defense: str) -> dict[str, Any]:
    """A defense as a grid's config has it, without the attacks that it is limited to.

    Raises:
        UsageError: if there is no such grid, or it has no such defense.
    """
    if not grid.is_file():
        raise UsageError(f'names the grid {grid}, which is not there')
    defenses = without_instructions(filled(Config.fromfile(grid))).get('defenses') or {}
    if defense not in defenses:
        raise UsageError(f'is of {defense!r}, which {grid} does not have')
    return entry_of(defenses[defense])


def entry_of(spec: Any) -> dict[str, Any]:
    """The entry of a defense as JSON has it, without its attacks."""
    return {key: _plain(value) for key, value in (spec or {}).items() if key != 'attacks'}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def exports(config: Any) -> list[str]:
    """The ``zoo://NAME`` of a defense.

    Raises:
        UsageError: for weights that are not in the zoo, which nobody else has.
    """
    names = list(_strings(config))
    private = [name for name in names if not name.startswith(SCHEME) and Path(name).suffix in ('.pth', '.pt')]
    if private:
        raise UsageError(
            f'uses {private[0]}, which is not in the zoo: export it with tools/export_purifier.py, and put it there '
            'with its receipt in zoo/metafile.yml'
        )
    return [name for name in names if name.startswith(SCHEME)]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from _strings(item)
