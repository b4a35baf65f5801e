"""Digests of weights, settings, files and pixels, to tell whether two runs would produce the same numbers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from torch import Tensor, nn

from .zoo import local_file

_CHUNK = 1 << 20
# These packages' files used to be one level higher; digests contain the module paths of layer classes.
_MOVED = re.compile(
    r'^mmadvdefense\.(purifiers\.(?:trained|online|transforms|composites)|networks\.per_image)\.(?P<file>\w+)$'
)


def file_digest(path: Union[str, Path]) -> str:
    """SHA-256 of a file's content; the file may be named ``zoo://NAME``."""
    digest = hashlib.sha256()
    with open(local_file(path), 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def value_digest(*values: Any) -> str:
    """SHA-256 of tensors, arrays, and JSON values; arrays include their type and shape."""
    return stream_digest(values)


def stream_digest(values: Iterable[Any]) -> str:
    """:func:`value_digest` of values that need not be in memory all at once."""
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, Tensor):
            value = value.detach().cpu().contiguous()
            # NumPy has no bfloat16.
            value = (value.view(torch.int16) if value.dtype == torch.bfloat16 else value).numpy()
        if isinstance(value, np.ndarray):
            digest.update(f'{value.dtype}{value.shape}'.encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        else:
            digest.update(canonical_json(value).encode())
        digest.update(b'\0')
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON independent of key order; objects that JSON cannot represent are written by name."""
    return json.dumps(value, sort_keys=True, default=_name)


def plain_settings(value: Any, leave_out: tuple[str, ...] = ()) -> Any:
    """A part of a config as plain JSON values; file names are replaced by the digest of the content, to detect changes.

    Args:
        value: any part of a config.
        leave_out: keys to ignore at any depth.
    """
    if isinstance(value, Mapping):
        return {str(key): plain_settings(item, leave_out) for key, item in value.items() if key not in leave_out}
    if isinstance(value, (list, tuple)):
        return [plain_settings(item, leave_out) for item in value]
    if isinstance(value, (str, Path)):
        value = local_file(value)
        return f'sha256:{file_digest(value)}' if Path(value).is_file() else str(value)
    return value if value is None or isinstance(value, (bool, int, float)) else _name(value)


def module_digest(module: nn.Module, leave_out: tuple[str, ...] = ()) -> str:
    """SHA-256 of all that determines a module's output: its layers' types and settings, its parameters and buffers.

    Non-persistent buffers (mean and std of a preprocessor) are included; ``training``, ``enabled``, ``init_cfg``
    and private attributes are not. Objects that JSON does not support, such as functions, are identified by name.

    Args:
        module: the module.
        leave_out: names of direct children to ignore.
    """
    digest = hashlib.sha256()
    for name, layer in module.named_modules():
        if name.split('.')[0] in leave_out:
            continue
        settings = {key: value for key, value in vars(layer).items() if _is_setting(key)}
        digest.update(canonical_json([name, _name(type(layer)), settings]).encode())
        for group in (layer.named_parameters(recurse=False), layer.named_buffers(recurse=False)):
            for key, tensor in group:
                digest.update(value_digest(key, tensor).encode())
    return digest.hexdigest()


# Not settings: ``enabled`` switches a purifier on and off, and ``init_cfg`` only says where weights came from.
_PASSING = ('training', 'enabled', 'init_cfg')


def _is_setting(key: str) -> bool:
    return not key.startswith('_') and key not in _PASSING


def _name(value: Any) -> Any:
    """A representation of a value that JSON does not support."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, (Tensor, np.ndarray)):
        return value_digest(value)
    if isinstance(value, (Path, torch.dtype, torch.device, np.generic)):
        return str(value)
    named = value if hasattr(value, '__qualname__') else type(value)
    return f'{_former_module(named.__module__)}.{named.__qualname__}'


def _former_module(name: str) -> str:
    """The module name used in digests, for modules of this package that have moved."""
    moved = _MOVED.match(name)
    if moved is None:
        return name
    if moved['file'] == 'defended_ensemble':
        return 'mmadvdefense.ensembles'
    return f'mmadvdefense.{moved[1].partition(".")[0]}.{moved["file"]}'
