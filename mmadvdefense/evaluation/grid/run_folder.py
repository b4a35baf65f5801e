"""The folder of a run, with atomically written results of finished cells."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Optional, Union

from ...checkpoints import save_file_atomically, write_json
from ...hooks.example_images import save_examples
from ...saving import locked
from ..columns import compact
from ..results import Result
from .plan import Cell
from .versions import RUN_FORMAT, VERSION, upgrade_files, upgrade_settings


class RunFolder:
    """The output folder of a grid, which several processes may share.

    Args:
        path: the work directory.
    """

    def __init__(self, path: Union[str, Path]):
        self.path = Path(path)

    def claim(self, config: str, settings: dict[str, Any], force: bool = False) -> None:
        """Claim the folder for a grid.

        With ``force``, the folder of another grid is taken over: common cells are kept, and the others are removed when
        the grid is finished (:meth:`remove_others`). A folder of version 1 is converted.

        Args:
            config: the grid's config file, for messages.
            settings: everything that its results depend on.
            force: whether to take over the folder of another configuration.

        Raises:
            FileExistsError: if it contains the report of another configuration; the message names the difference.
        """
        with locked(self.path, 'claim'):
            note = self.path / 'run.json'
            if note.exists():
                theirs = json.loads(note.read_text())
                if not force:
                    self._check_same(theirs, settings)
                if theirs['version'] < VERSION:
                    # Before the stored settings are replaced, so that a crash in between does not prevent converting
                    # the rest.
                    upgrade_files(self.path)
            write_json(note, {'format': RUN_FORMAT, 'version': VERSION, 'config': config, 'settings': settings})

    def _check_same(self, theirs: dict[str, Any], settings: dict[str, Any]) -> None:
        old = theirs['settings'] if theirs['version'] == VERSION else upgrade_settings(theirs['settings'])
        where = first_difference(old, json.loads(json.dumps(settings)))
        if where is not None:
            raise FileExistsError(
                f'{self.path} holds the report of another configuration ({theirs["config"]}), which differs in '
                f'{where}; choose another --work-dir, or continue there with --force'
            )

    def locked(self, cell: Cell) -> AbstractContextManager[None]:
        """Hold the lock of a cell, see :func:`mmadvdefense.saving.locked`."""
        return locked(self.path, 'cell', cell.fingerprint)

    def state(self, cell: Cell) -> str:
        """``'done'``, ``'open'``, ``'failed'``, or ``'cannot run'``, if that is known in advance."""
        if cell.reason is not None:
            return 'cannot run'
        result = self.load(cell)
        return 'open' if result is None else 'done' if result.error is None else 'failed'

    def load(self, cell: Cell) -> Optional[Result]:
        """The result of a cell; None if it is not finished."""
        path = self._path(cell)
        if not path.exists():
            return None
        stored = json.loads(path.read_text())
        return Result.from_dict(stored['cell'], compact(stored['samples']))

    def save(self, cell: Cell, result: Result, seconds: float) -> None:
        """Write a finished cell.

        Args:
            cell: the cell.
            result: its result.
            seconds: its run time.
        """
        if result.examples:
            save_examples(self.examples(cell), result.examples)
        samples = result.samples and {
            name: [value if value != float('inf') else None for value in column]
            for name, column in result.samples.items()
        }
        data = json.dumps(
            {'version': VERSION, 'seconds': seconds, 'cell': result.as_dict(), 'samples': samples}
        ).encode()
        save_file_atomically(self._path(cell), lambda file: file.write(data), size=len(data))

    def amend(self, cell: Cell, result: Result) -> None:
        """Write a cell again that was saved before, with the same run time."""
        self.save(cell, result, json.loads(self._path(cell).read_text())['seconds'])

    def examples(self, cell: Cell) -> Path:
        """The path of a cell's example images, which need not exist."""
        return self.path / 'examples' / f'{cell.file_name}.npz'

    def remove_others(self, cells: list[Cell]) -> None:
        """Remove the files of other grids."""
        names = {cell.file_name for cell in cells}
        for path in [*self.path.glob('cells/*.json'), *self.path.glob('examples/*.npz')]:
            if path.stem not in names:
                path.unlink()

    def _path(self, cell: Cell) -> Path:
        return self.path / 'cells' / f'{cell.file_name}.json'


def first_difference(theirs: Any, ours: Any, at: str = '') -> Optional[str]:
    """The first difference between two settings: ``'attacks.PGD.eps (8 there, 4 here)'``; None if they are equal."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*theirs, *ours]):
            missing = object()
            found = first_difference(theirs.get(key, missing), ours.get(key, missing), f'{at}.{key}' if at else key)
            if found:
                return found
        return None
    if theirs == ours:
        return None
    return f'{at} ({_shown(theirs)} there, {_shown(ours)} here)'


def _shown(value: Any) -> str:
    text = 'nothing' if type(value) is object else str(value)
    return text if len(text) < 40 else f'{text[:37]}...'
