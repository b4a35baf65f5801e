"""A trained generator as a file of its own, to be put in front of any model (paper, section 4.9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Union

from ...saving import load_tensors, save_tensors

FORMAT = 'mmadvdefense purifier'


def save_purifier_export(export: dict[str, Any], path: Union[str, Path]) -> None:
    """Write what ``GeneratorPurifier.export`` returns; the file is there completely or not at all."""
    save_tensors(path, FORMAT, export)


def load_purifier_export(path: Union[str, Path]) -> dict[str, Any]:
    """Read an export.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is something else, e.g. a whole training checkpoint.
    """
    return load_tensors(path, FORMAT, 'purifier export', 'tools/export_purifier.py CONFIG CHECKPOINT OUT')
