"""The checkpoints that come with this package, named ``zoo://NAME``: purifiers, and a model to put them in front of."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmengine.fileio import load
from mmengine.runner import CheckpointLoader

from .errors import UsageError
from .validation import did_you_mean

SCHEME = 'zoo://'
_PACKAGE = Path(__file__).resolve().parent
# Inside the package if installed by setup.py, next to it in a clone.
FOLDER = (_PACKAGE / '.mim' / 'zoo') if (_PACKAGE / '.mim').is_dir() else (_PACKAGE.parent / 'zoo')


def zoo_entries(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The receipts of all purifiers by name: how each was trained, its SHA-256 and its results.

    Raises:
        UsageError: if this installation has no zoo.
    """
    return _receipts('purifiers', folder)


def zoo_targets(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The receipts of the models that the zoo has purifiers for, by name, if their weights may be passed on.

    Raises:
        UsageError: if this installation has no zoo.
    """
    return _receipts('targets', folder)


def zoo_entry(reference: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The receipt of one purifier.

    Args:
        reference: ``'zoo://NAME'``.
        folder: of the zoo.

    Raises:
        UsageError: if there is no purifier of this name; the message lists similar names.
    """
    name, entries = _name(reference), zoo_entries(folder)
    if name not in entries:
        raise UsageError(f'there is no purifier {name!r} in the zoo; {did_you_mean(name, entries)}')
    return entries[name]


def zoo_file(reference: str, folder: Path = FOLDER) -> Path:
    """The file of a purifier or of a model, with the content that its receipt states.

    Args:
        reference: ``'zoo://NAME'``.
        folder: of the zoo.

    Raises:
        UsageError: if there is nothing of this name, if the file is missing, or is not the one with that SHA-256; the
            message lists similar names.
    """
    name = _name(reference)
    entries = {**zoo_entries(folder), **zoo_targets(folder)}
    if name not in entries:
        raise UsageError(f'there is no {name!r} in the zoo; {did_you_mean(name, entries)}')
    entry = entries[name]
    path = folder / f'{entry["name"]}.pth'
    remedy = f'restore it with `git checkout {path.name}` in {folder}, or reinstall the package'
    if not path.is_file():
        raise UsageError(f'{path} is missing: {remedy}')
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != entry['sha256']:
        raise UsageError(
            f'{path} is not the file of the receipt: its SHA-256 is {found[:12]}..., not {entry["sha256"][:12]}...; '
            f'{remedy}'
        )
    return path


def local_file(path: Union[str, os.PathLike]) -> Union[str, os.PathLike]:
    """The file that ``'zoo://NAME'`` stands for, see :func:`zoo_file`; any other path is returned as it is."""
    return zoo_file(path) if isinstance(path, str) and path.startswith(SCHEME) else path


@CheckpointLoader.register_scheme(prefixes=SCHEME)
def load_from_zoo(filename: str, map_location: Optional[Any] = None) -> dict[str, Any]:
    """Load ``zoo://NAME``, wherever MMEngine takes a checkpoint; see :func:`zoo_file`."""
    return torch.load(zoo_file(filename), map_location=map_location, weights_only=True)


def _name(reference: str) -> str:
    return reference.removeprefix(SCHEME).removesuffix('.pth')


def _receipts(kind: str, folder: Path) -> dict[str, dict[str, Any]]:
    if not (folder / 'metafile.yml').is_file():
        raise UsageError(
            f'this installation has no zoo, which should be in {folder}: install the wheel, or use a clone'
        )
    return {entry['name']: entry for entry in _read(folder / 'metafile.yml').get(kind, ())}


@functools.cache
def _read(metafile: Path) -> dict[str, list[dict[str, Any]]]:
    content: dict[str, list[dict[str, Any]]] = load(str(metafile))
    return content
