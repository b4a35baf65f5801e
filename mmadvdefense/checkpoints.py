"""Checkpoints go into a model as a whole or not at all, and onto the disk as a whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import uuid
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Callable, Mapping, Optional, Sequence

from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from . import compat
from .errors import UsageError
from .models import unwrap

PathLike = str | os.PathLike
# The preprocessor of a protected model is its purifier, which the target's own checkpoint does not know.
PREPROCESSOR = ('data_preprocessor.',)


class CheckpointMismatch(UsageError):
    """A checkpoint does not fill the model."""


# Loading ------------------------------------------------------------------------------------------------------------


@dataclass
class LoadReport:
    """How the tensors of a checkpoint compare with those of a model (parameters and persistent buffers), by name."""

    matched: list[str] = field(default_factory=list)
    # name, shape in the checkpoint, shape in the model
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # the model has it, the checkpoint has not
    unexpected: list[str] = field(default_factory=list)  # the checkpoint has it, the model has not
    # batch counters, which old checkpoints lack, and buffers that the model keeps when it is loaded
    tolerated: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """The number of tensors of the model."""
        return len(self.matched) + len(self.missing) + len(self.mismatched) + len(self.tolerated)

    def __str__(self) -> str:
        text = f'loaded {len(self.matched)} of {self.total} tensors of the target; {len(self.missing)} missing'
        if self.mismatched:
            text += f'; {len(self.mismatched)} of another shape'
        if self.tolerated:
            text += f'; {len(self.tolerated)} that need no loading ({_some(self.tolerated, 3)})'
        if self.unexpected:
            text += f'; {len(self.unexpected)} in the checkpoint not used ({_some(self.unexpected, 3)})'
        return text


def check_state_dict(
    model: nn.Module,
    state_dict: Mapping[str, Any],
    ignore: Sequence[str] = PREPROCESSOR,
    source: PathLike = 'the checkpoint',
) -> LoadReport:
    """Compare a checkpoint with a model, because MMEngine loads non-strictly and would only log what does not fit.

    Nothing is loaded. What the model converts itself while loading (old names, resized position embeddings) fits.

    Args:
        model: The model that is to be filled; a DDP wrapper is looked through.
        state_dict: The tensors of the checkpoint. A leading ``module.`` does not count.
        ignore: Prefixes of names that are left out on both sides.
        source: The file, for messages.

    Returns:
        The comparison; nothing is missing and nothing mismatched in it.

    Raises:
        CheckpointMismatch: If nothing in the checkpoint has a place in the model, if a shape differs, or if the
            checkpoint leaves a part of the model as it is. What a conversion by the model itself raises, passes.
    """
    model = unwrap(model)
    offered = _stripped(state_dict, ignore)
    wanted = {name: value for name, value in model.state_dict().items() if not name.startswith(tuple(ignore))}
    report = _compare(wanted, offered)
    if report.missing or report.mismatched:
        arrived, dropped = _rehearse(model, offered)
        doubtful = [*report.missing, *(name for name, *_ in report.mismatched)]
        report.matched += [name for name in doubtful if name in arrived]
        report.tolerated += [name for name in doubtful if name in dropped]
        report.missing = [name for name in report.missing if name not in arrived | dropped]
        report.mismatched = [entry for entry in report.mismatched if entry[0] not in arrived | dropped]
    _raise_if_unfit(model, report, wanted, offered, source)
    return report


def load_target(
    model: nn.Module, path: PathLike, trust: bool = False, ignore: Sequence[str] = PREPROCESSOR
) -> LoadReport:
    """Load a checkpoint into a model that must be filled completely, such as the source model of an attack.

    Args:
        model: The model, on any device.
        path: A file with a state dict, bare or under the key ``state_dict``, or an address that MMEngine can load.
        trust: See :func:`mmadvdefense.compat.check_checkpoint`.
        ignore: Prefixes of names that are not loaded.

    Returns:
        What was loaded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, is damaged, or holds no state dict.
        mmadvdefense.compat.CheckpointRefused: If it holds more than data and is not trusted.
        CheckpointMismatch: If it does not fill the model, which is then unchanged.
    """
    compat.check_checkpoint(path, trust)
    checkpoint = CheckpointLoader.load_checkpoint(os.fspath(path), map_location='cpu')
    state_dict = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state_dict, Mapping):
        raise UsageError(f'{path} holds no state dict but a {type(checkpoint).__name__}')
    model = unwrap(model)
    report = check_state_dict(model, state_dict, ignore, source=path)
    model.load_state_dict(_stripped(state_dict, ignore), strict=False)
    return report


def _stripped(state_dict: Mapping[str, Any], ignore: Sequence[str]) -> OrderedDict[str, Any]:
    named = ((re.sub(r'^module\.', '', name), value) for name, value in state_dict.items())
    stripped = OrderedDict((name, value) for name, value in named if not name.startswith(tuple(ignore)))
    # Modules that convert old checkpoints find the old version in here.
    stripped._metadata = getattr(state_dict, '_metadata', OrderedDict())  # type: ignore[attr-defined]
    return stripped


def _compare(wanted: Mapping[str, Any], offered: Mapping[str, Any]) -> LoadReport:
    report = LoadReport(unexpected=[name for name in offered if name not in wanted])
    for name, value in wanted.items():
        if name not in offered:
            counter = name.rpartition('.')[2] == 'num_batches_tracked'
            (report.tolerated if counter else report.missing).append(name)
        elif isinstance(value, Tensor) and _shape(value) != _shape(offered[name]):
            report.mismatched.append((name, _shape(offered[name]), _shape(value)))
        else:
            report.matched.append(name)
    return report


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, 'shape', ()))


class _Rehearsal(TorchFunctionMode):
    """Notes which of the given tensors are written to with ``copy_``, and leaves them as they are."""

    def __init__(self, names: Mapping[int, list[str]]):
        super().__init__()
        self.names = names
        self.arrived: set[str] = set()

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: Optional[dict] = None) -> Any:
        if func is Tensor.copy_ and id(args[0]) in self.names:
            self.arrived.update(self.names[id(args[0])])
            return args[0]
        return func(*args, **(kwargs or {}))


def _rehearse(model: nn.Module, state_dict: OrderedDict[str, Any]) -> tuple[set[str], set[str]]:
    """Load without writing, which shows what a comparison of names and shapes does not.

    Transformers resize their position embeddings when they are loaded and keep their own position indices, and several
    modules of mmcv and mmdet rename what old versions saved.

    Returns:
        The names of the tensors that loading would fill, and those of the buffers that the model has in the
        checkpoint but chose to keep as they are.
    """
    names: dict[int, list[str]] = {}
    for group in (model.named_parameters, model.named_buffers):
        for name, tensor in group(remove_duplicate=False):
            names.setdefault(id(tensor), []).append(name)
    complaints = ''
    with _Rehearsal(names) as rehearsal:
        try:
            model.load_state_dict(state_dict, strict=False)
        except RuntimeError as error:
            complaints = str(error)
            if not complaints.startswith('Error(s) in loading state_dict'):
                raise  # a conversion that fails would fail when loading, too
            # Otherwise shapes differ, which is raised after all else has been loaded.
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    dropped = {name for name in buffers & state_dict.keys() if f'size mismatch for {name}:' not in complaints}
    return rehearsal.arrived, dropped - rehearsal.arrived


def _raise_if_unfit(
    model: nn.Module, report: LoadReport, wanted: Mapping[str, Any], offered: Mapping[str, Any], source: PathLike
) -> None:
    if wanted and not report.matched and not report.mismatched:
        raise CheckpointMismatch(
            f'{source} has nothing for this model: the checkpoint has {_some(list(offered), 3)}, the model has '
            f'{_some(list(wanted), 3)}. Either this is the checkpoint of another model, or its keys need conversion '
            'with tools/convert_checkpoint.py'
        )
    if report.mismatched:
        entries = [f'{name} is {theirs} there and {ours} in the model' for name, theirs, ours in report.mismatched]
        text = f'{source} does not fit this model: {_some(entries, 5)}'
        classes = _class_counts(model, report)
        if classes:
            text += f'. The checkpoint was trained for {classes[0]} classes, the target has {classes[1]}'
        raise CheckpointMismatch(text)
    if report.missing:
        raise CheckpointMismatch(
            f'{source} would leave {len(report.missing)} of {report.total} tensors of this model untrained: '
            f'{_some(report.missing, 5)}. Either it is the checkpoint of another model, or its keys need conversion '
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


def _some(items: Sequence[str], most: int) -> str:
    text = ', '.join(items[:most]) or 'nothing'
    return text if len(items) <= most else f'{text} and {len(items) - most} more'


# Saving -------------------------------------------------------------------------------------------------------------


@register_backend('atomic')
class AtomicLocalBackend(LocalBackend):
    """Local files that are replaced as a whole: a full disk or a kill leaves the previous content.

    For MMEngine's ``CheckpointHook``: ``backend_args=dict(backend='atomic')``. Note that the hook deletes what exceeds
    ``max_keep_ckpts`` *before* it writes, so that only with ``max_keep_ckpts >= 2`` a failure leaves a checkpoint.
    """

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Write bytes, as :meth:`mmengine.fileio.LocalBackend.put` does.

        Raises:
            OSError: See :func:`save_file_atomically`.
        """
        save_file_atomically(filepath, lambda file: file.write(obj), size=len(obj))

    def put_text(self, obj: str, filepath: PathLike, encoding: str = 'utf-8') -> None:
        """Write text, as :meth:`mmengine.fileio.LocalBackend.put_text` does.

        Raises:
            OSError: See :func:`save_file_atomically`.
        """
        self.put(obj.encode(encoding), filepath)


def save_file_atomically(path: PathLike, write: Callable[[BinaryIO], Any], size: Optional[int] = None) -> None:
    """Write a file that is there completely or not at all; an existing one is replaced only when all is on the disk.

    Args:
        path: The file; its folder is made if there is none.
        write: Is given the open file and writes into it.
        size: The number of bytes that will be written, if known, for the message.

    Raises:
        OSError: If it cannot be written, with the file, the size and the free space in the message. The previous file
            and nothing else is there then, as with any error that ``write`` raises.
    """
    final = Path(os.path.realpath(path))  # a link stays a link
    temporary = final.with_name(f'.{final.name[:200]}.{uuid.uuid4().hex}.tmp')
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, 'xb') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, final)
        _sync_folder(final.parent)
    except BaseException as error:
        with suppress(OSError):  # it may not be there, and the first error is the one to tell
            temporary.unlink()
        if isinstance(error, OSError):
            raise _explained(error, final, size) from error
        raise


def _sync_folder(folder: Path) -> None:
    """Make a renaming survive a power failure, where the platform can."""
    if hasattr(os, 'O_DIRECTORY'):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explained(error: OSError, path: Path, size: Optional[int]) -> OSError:
    number = error.errno or errno.EIO
    text = f'cannot write {path}'
    if size is not None:
        text += f', which needs {size} bytes'
    folder = next((folder for folder in path.parents if folder.is_dir()), None)
    if folder is not None:
        text += f', with {shutil.disk_usage(folder).free} bytes free'
    return OSError(number, f'{text}: {error.strerror or error}; what was there before is unchanged')


def write_json(path: PathLike, obj: Any) -> None:
    """Write an object as indented JSON, atomically.

    Raises:
        TypeError: If ``obj`` is not serialisable; nothing is written then.
        OSError: See :func:`save_file_atomically`.
    """
    data = (json.dumps(obj, indent=2, ensure_ascii=False) + '\n').encode()
    save_file_atomically(path, lambda file: file.write(data), size=len(data))
