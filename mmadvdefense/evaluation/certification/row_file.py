"""A folder of certificates: a line for each image, written as soon as it is certified."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Union

from ...errors import UsageError
from ...saving import write_json
from ..grid.run_folder import first_difference

FORMAT = 'mmadvdefense certificates'
VERSION = 1


def claim_folder(path: Union[str, Path], config: str, settings: dict[str, Any]) -> None:
    """Note in a folder what its certificates depend on.

    Args:
        path: the folder; it is made.
        config: for messages.
        settings: JSON-plain.

    Raises:
        UsageError: if it holds certificates that depend on something else; the message names the difference.
    """
    note = Path(path) / 'run.json'
    if note.exists():
        theirs = json.loads(note.read_text())
        if theirs.get('format') != FORMAT:
            raise UsageError(f'{note} is not from tools/certify.py; choose another folder')
        where = first_difference(theirs['settings'], json.loads(json.dumps(settings)))
        if where is not None:
            raise UsageError(
                f'{path} holds certificates of another run ({theirs["config"]}), which differs in {where}: they must '
                'not be mixed, so choose another folder, or repeat the settings of that run to continue it'
            )
        return
    write_json(note, {'format': FORMAT, 'version': VERSION, 'config': config, 'settings': settings})


class RowFile:
    """Rows by the index of their image, in a file of JSON lines that a killed process leaves usable.

    Args:
        path: the file, which need not exist.
    """

    def __init__(self, path: Union[str, Path]):
        self.path = Path(path)
        self.rows: dict[int, dict[str, Any]] = {}
        # The rest is a line that was not finished.
        self._valid = 0
        if self.path.exists():
            for line in self.path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b'\n'):
                    break
                row = json.loads(line)
                self.rows[row['index']] = row
                self._valid += len(line)

    def append(self, row: dict[str, Any]) -> None:
        """Add a row, JSON-plain with its ``index``, and wait until it is on the disk."""
        data = (json.dumps(row) + '\n').encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, 'r+b' if self.path.exists() else 'xb') as file:
            file.truncate(self._valid)
            file.seek(self._valid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._valid += len(data)
        self.rows[row['index']] = row
