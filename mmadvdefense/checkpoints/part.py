"""The backbone of a trained model as the start of another network."""

from __future__ import annotations

import os

from mmengine.runner import CheckpointLoader
from torch import nn

from .. import compat
from ..saving import PathLike
from .comparison import some
from .loading import CheckpointMismatch, check_state_dict, state_dict_of

_BACKBONE = 'backbone.'


def load_backbone(module: nn.Module, path: PathLike) -> int:
    """Fill a module with the backbone of a host model that was trained beforehand.

    Args:
        module: what the checkpoint calls ``backbone``, on any device.
        path: a checkpoint of the host model, which is read as data only, or a URL that MMEngine can load.

    Returns:
        How many tensors were loaded.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a checkpoint, is damaged, or holds no state dict.
        mmadvdefense.compat.CheckpointRefused: if it holds more than data.
        CheckpointMismatch: if it has no backbone, or not this one; the module is then unchanged.
    """
    compat.check_checkpoint(path)
    state_dict = state_dict_of(CheckpointLoader.load_checkpoint(os.fspath(path), map_location='cpu'), path)
    named = {name.removeprefix('module.'): value for name, value in state_dict.items()}
    backbone = {name.removeprefix(_BACKBONE): value for name, value in named.items() if name.startswith(_BACKBONE)}
    if not backbone:
        raise CheckpointMismatch(f'{path} has no backbone, but {some(list(named), 3)}')
    report = check_state_dict(module, backbone, ignore=(), source=f'the backbone in {path}')
    if report.unexpected:
        raise CheckpointMismatch(
            f'the backbone in {path} has more than this {type(module).__name__}: {some(report.unexpected, 3)}'
        )
    module.load_state_dict(backbone)
    return len(report.matched)
