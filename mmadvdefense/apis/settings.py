"""The purifier that somebody asks for by name, file, zoo reference or config."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Mapping, Union

from ..errors import UsageError
from ..purifiers import purifier_names
from ..purifiers.trained.export import load_purifier_export
from ..validation import did_you_mean
from ..zoo import SCHEME, zoo_entries

PurifierChoice = Union[str, os.PathLike, Mapping[str, Any]]


def purifier_settings(purifier: PurifierChoice) -> dict[str, Any]:
    """The config of a purifier.

    Args:
        purifier: the name of a purifier without settings (``'MedianFilterPurifier'``), a file of
            ``tools/export_purifier.py``, ``'zoo://NAME'``, or a config (``dict(type='JPEGPurifier', quality=75)``),
            which is copied.

    Raises:
        UsageError: if it is none of these; the message lists similar names. From
            :func:`~mmadvdefense.zoo.zoo_file` and for a file that is not an export.
    """
    if isinstance(purifier, Mapping):
        if 'type' not in purifier:
            raise UsageError(
                f"the config of a purifier needs a type, such as type='AlignPurifier'; got {dict(purifier)}"
            )
        return dict(purifier)
    if not isinstance(purifier, (str, os.PathLike)):
        raise UsageError(f"a purifier is a name, a file, 'zoo://NAME' or a config, not a {type(purifier).__name__}")
    reference = os.fspath(purifier)
    if reference in purifier_names():
        return dict(type=reference)
    if not (reference.startswith(SCHEME) or Path(reference).is_file()):
        if reference in zoo_entries():
            raise UsageError(f'{reference!r} is in the zoo: write {SCHEME + reference!r}')
        raise UsageError(
            f'{reference!r} is neither a file of tools/export_purifier.py nor a purifier; '
            f'{did_you_mean(reference, purifier_names())}'
        )
    export = load_purifier_export(reference)
    # Noise has to be added before this network removes it.
    kind = 'SmoothedPurifier' if 'sigma' in export else 'AlignPurifier'
    return dict(type=kind, init_cfg=dict(type='Pretrained', checkpoint=reference))
