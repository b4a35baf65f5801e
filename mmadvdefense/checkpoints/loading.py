"""Checkpoints go into a model as a whole or not at all."""

from __future__ import annotations

import os
from typing import Any, Mapping, MutableMapping, Optional, Sequence

from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from .. import compat
from ..errors import UsageError
from ..models import unwrap
from ..saving import PathLike
from .comparison import PREPROCESSOR, LoadReport, compare_state_dict, offered_tensors, some, tensors_to_fill


class CheckpointMismatch(UsageError):
    """A checkpoint does not fill the model."""


def state_dict_of(checkpoint: Any, source: PathLike = 'the checkpoint') -> MutableMapping[str, Any]:
    """The tensors of a checkpoint, which stand under the key ``state_dict`` or are the checkpoint itself.

    Raises:
        ValueError: If it has none; the message names ``source``.
    """
    state_dict = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, Mapping) else checkpoint
    if not isinstance(state_dict, MutableMapping):
        raise UsageError(f'{source} holds no state dict but a {type(checkpoint).__name__}')
    return state_dict


def check_state_dict(
    model: nn.Module,
    state_dict: Mapping[str, Any],
    ignore: Sequence[str] = PREPROCESSOR,
    source: PathLike = 'the checkpoint',
) -> LoadReport:
    """:func:`compare_state_dict`, and raise if the checkpoint does not fill the model.

    Args:
        model: See :func:`compare_state_dict`.
        state_dict: See :func:`compare_state_dict`.
        ignore: See :func:`compare_state_dict`.
        source: The file, for error messages.

    Returns:
        The comparison; it has nothing missing and nothing mismatched.

    Raises:
        CheckpointMismatch: If nothing in the checkpoint has a place in the model, if a shape differs, or if the
            checkpoint would leave a part of the model as it is.
    """
    model = unwrap(model)
    report = compare_state_dict(model, state_dict, ignore)
    _raise_if_unfit(
        model, report, list(tensors_to_fill(model, ignore)), list(offered_tensors(state_dict, ignore)), source
    )
    return report


def check_loaded(runner: Runner, state_dict: Mapping[str, Any], ignore: Sequence[str] = PREPROCESSOR) -> None:
    """:func:`check_state_dict` of the checkpoint that a runner is loading; what it fills goes into the log.

    Raises:
        CheckpointMismatch: From :func:`check_state_dict`; the message names the file.
    """
    source = runner.cfg.get('load_from') or 'the checkpoint'
    runner.logger.info(str(check_state_dict(runner.model, state_dict, ignore, source)))


def keep_own(model: nn.Module, state_dict: MutableMapping[str, Any], prefix: str | Sequence[str]) -> bool:
    """Let a part of a model that a checkpoint does not know keep its values, without MMEngine calling them missing.

    Args:
        model: The model that is to be filled; a DDP wrapper is looked through.
        state_dict: The tensors of the checkpoint. Unless it has some of that part, the model's own are put into it.
        prefix: What the names of the part begin with.

    Returns:
        Whether the model keeps its own.
    """
    prefixes = (prefix,) if isinstance(prefix, str) else tuple(prefix)
    if any(name.removeprefix('module.').startswith(prefixes) for name in state_dict):
        return False
    state_dict.update({k: v for k, v in unwrap(model).state_dict().items() if k.startswith(prefixes)})
    return True


def load_target(
    model: nn.Module, path: PathLike, trust: bool = False, ignore: Sequence[str] = PREPROCESSOR
) -> LoadReport:
    """Load a checkpoint into a model that must be filled completely, such as the source model of an attack.

    Args:
        model: The model, on any device.
        path: A file with a state dict, bare or under the key ``state_dict``, or a URL that MMEngine can load.
        trust: See :func:`mmadvdefense.compat.check_checkpoint`.
        ignore: Prefixes of names that are not loaded.

    Returns:
        What was loaded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a checkpoint, is damaged, or holds no state dict.
        mmadvdefense.compat.CheckpointRefused: If it holds more than data and is not trusted.
        CheckpointMismatch: If it does not fill the model, which is then unchanged.
    """
    compat.check_checkpoint(path, trust)
    checkpoint = CheckpointLoader.load_checkpoint(os.fspath(path), map_location='cpu')
    state_dict = state_dict_of(checkpoint, path)
    model = unwrap(model)
    report = check_state_dict(model, state_dict, ignore, source=path)
    model.load_state_dict(offered_tensors(state_dict, ignore), strict=False)
    return report


def _raise_if_unfit(
    model: nn.Module, report: LoadReport, wanted: Sequence[str], offered: Sequence[str], source: PathLike
) -> None:
    if wanted and not report.matched and not report.mismatched:
        raise CheckpointMismatch(
            f'{source} has nothing for this model: the checkpoint has {some(offered, 3)}, the model has '
            f'{some(wanted, 3)}. Either this is the checkpoint of another model, or its keys need conversion '
            'with tools/convert_checkpoint.py'
        )
    if report.mismatched:
        entries = [f'{name} is {theirs} there and {ours} in the model' for name, theirs, ours in report.mismatched]
        text = f'{source} does not fit this model: {some(entries, 5)}'
        classes = _class_counts(model, report)
        if classes:
            text += f'. The checkpoint was trained for {classes[0]} classes, the target has {classes[1]}'
        raise CheckpointMismatch(text)
    if report.missing:
        raise CheckpointMismatch(
            f'{source} would leave {len(report.missing)} of {report.total} tensors of this model untrained: '
            f'{some(report.missing, 5)}. Either it is the checkpoint of another model, or its keys need conversion '
            'with tools/convert_checkpoint.py'
        )


def _class_counts(model: nn.Module, report: LoadReport) -> Optional[tuple[int, int]]:
    """The numbers of classes of checkpoint and model, if they explain all mismatches: only first dimensions differ."""
    last = list(model.state_dict())[-1].rpartition('.')[0]
    counts = set()
    for name, theirs, ours in report.mismatched:
        classes = _num_classes(model, name)
        if not theirs or not ours or theirs[1:] != ours[1:] or (classes is None and name.rpartition('.')[0] != last):
            return None
        counts.add(_as_classes(classes, theirs[0], ours[0]))
    return counts.pop() if len(counts) == 1 else None


def _num_classes(model: nn.Module, name: str) -> Optional[int]:
    """What the closest module around a parameter says about the number of classes."""
    path = name.split('.')[:-1]
    while path:
        found = getattr(model.get_submodule('.'.join(path)), 'num_classes', None)
        if isinstance(found, int):
            return found
        path.pop()
    return None


def _as_classes(classes: Optional[int], theirs: int, ours: int) -> Optional[tuple[int, int]]:
    """Channels as classes: a detection head has them once for each anchor, and possibly one more for the background."""
    if classes is None:
        return theirs, ours
    for background in (0, 1):
        anchors, rest = divmod(ours, classes + background)
        if anchors and not rest and theirs % anchors == 0:
            return theirs // anchors - background, classes
    return None
