"""A trained generator as a file of its own, to be put in front of any model (paper, section 4.9)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union

import torch

FORMAT = 'mmadvdefense purifier'


def save_purifier_export(export: dict, path: Union[str, Path]) -> None:
    """Write what ``GeneratorPurifier.export`` returns; under a temporary name first, then moved."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.partial')
    try:
        torch.save({'format': FORMAT, 'version': 1, **export}, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_purifier_export(path: Union[str, Path]) -> dict:
    """Read an export.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is something else, e.g. a whole training checkpoint.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f'purifier export not found: {path}')
    export = torch.load(path, map_location='cpu', weights_only=True)
    if not isinstance(export, dict) or export.get('format') != FORMAT:
        raise ValueError(
            f'{path} is no exported purifier; make one with tools/export_purifier.py CONFIG CHECKPOINT OUT'
        )
    return export
