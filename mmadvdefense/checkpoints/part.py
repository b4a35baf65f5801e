"""A part of a trained model as the start of another network."""

from __future__ import annotations

import os

from mmengine.runner import CheckpointLoader
from torch import nn

from .. import compat
from ..saving import PathLike
from .comparison import some
from .loading import CheckpointMismatch, check_state_dict, state_dict_of


def load_part(module: nn.Module, path: PathLike, part: str = 'backbone') -> int:
    """Fill a module with a part of a host model that was trained beforehand.

    Args:
        module: what the checkpoint calls ``part``, on any device.
        path: a checkpoint of the host model, which is read as data only, or a URL that MMEngine can load.
        part: name of a module of the host model, such as ``backbone`` or ``head.fc``.

    Returns:
        How many tensors were loaded.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a checkpoint, is damaged, or holds no state dict.
        mmadvdefense.compat.CheckpointRefused: if it holds more than data.
        CheckpointMismatch: if it has no such part, or another one; the module is then unchanged.
    """
    compat.check_checkpoint(path)
    state_dict = state_dict_of(CheckpointLoader.load_checkpoint(os.fspath(path), map_location='cpu'), path)
    named = {name.removeprefix('module.'): value for name, value in state_dict.items()}
    start = f'{part}.'
    theirs = {name.removeprefix(start): value for name, value in named.items() if name.startswith(start)}
    if not theirs:
        raise CheckpointMismatch(f'{path} has no {part}, but {some(list(named), 3)}')
    report = check_state_dict(module, theirs, ignore=(), source=f'the {part} in {path}')
    if report.unexpected:
        raise CheckpointMismatch(
            f'the {part} in {path} has more than this {type(module).__name__}: {some(report.unexpected, 3)}'
        )
    module.load_state_dict(theirs)
    return len(report.matched)
