"""Export a trained generator to a file, for use in front of any model (paper, section 4.9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Union

from ...saving import load_tensors, save_tensors
from ...zoo import local_file

FORMAT = 'mmadvdefense purifier'


def save_purifier_export(export: dict[str, Any], path: Union[str, Path]) -> None:
    """Write what ``GeneratorPurifier.export`` returns, atomically."""
    save_tensors(path, FORMAT, export)


def load_purifier_export(path: Union[str, Path]) -> dict[str, Any]:
    """Read an export.

    Args:
        path: a file of ``tools/export_purifier.py``, or ``'zoo://NAME'``.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is not an export, e.g. a training checkpoint; from :func:`mmadvdefense.zoo.zoo_file`.
    """
    return load_tensors(local_file(path), FORMAT, 'purifier export', 'tools/export_purifier.py CONFIG CHECKPOINT OUT')
