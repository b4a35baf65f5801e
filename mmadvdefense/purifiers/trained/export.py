"""A trained generator as a file of its own, to be put in front of any model (paper, section 4.9)."""

from __future__ import annotations

from pathlib import Path
from typing import Union

import torch

from ...checkpoints import save_file_atomically
from ...compat import check_checkpoint

FORMAT = 'mmadvdefense purifier'


def save_purifier_export(export: dict, path: Union[str, Path]) -> None:
    """Write what ``GeneratorPurifier.export`` returns; the file is written completely or not at all."""
    save_file_atomically(path, lambda file: torch.save({'format': FORMAT, 'version': 1, **export}, file))


def load_purifier_export(path: Union[str, Path]) -> dict:
    """Read an export.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is something else, e.g. a whole training checkpoint.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f'purifier export not found: {path}')
    check_checkpoint(path)
    export = torch.load(path, map_location='cpu', weights_only=True)
    if not isinstance(export, dict) or export.get('format') != FORMAT:
        raise ValueError(
            f'{path} is not an exported purifier; make one with tools/export_purifier.py CONFIG CHECKPOINT OUT'
        )
    return export
