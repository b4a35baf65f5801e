"""Atomic file writes, locks between processes that share a folder, and files of tensors."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import sys
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator, Optional

import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

from . import compat
from .errors import UsageError

if sys.platform != 'win32':
    import fcntl

PathLike = str | os.PathLike
# What network file systems that are mounted without locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_LOCK_FILE = '.lock'


@register_backend('atomic')
class AtomicLocalBackend(LocalBackend):
    """Local files replaced atomically: if the disk is full or the process is killed, the previous content remains.

    For MMEngine's ``CheckpointHook``: ``backend_args=dict(backend='atomic')``. The hook deletes surplus checkpoints
    *before* it writes, so ``max_keep_ckpts`` must be at least 2 for one to survive a failed write.
    """

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Like :meth:`mmengine.fileio.LocalBackend.put`.

        Raises:
            OSError: See :func:`save_file_atomically`.
        """
        save_file_atomically(filepath, lambda file: file.write(obj), size=len(obj))

    def put_text(self, obj: str, filepath: PathLike, encoding: str = 'utf-8') -> None:
        """Like :meth:`mmengine.fileio.LocalBackend.put_text`.

        Raises:
            OSError: See :func:`save_file_atomically`.
        """
        self.put(obj.encode(encoding), filepath)


def save_file_atomically(
    path: PathLike, write: Callable[[BinaryIO], Any], size: Optional[int] = None, durable: bool = True
) -> None:
    """Write a file atomically; an existing one is replaced only after everything has been written.

    Args:
        path: The file; missing folders are created.
        write: Called with the open file to write its content.
        size: The number of bytes to be written, if known, for the error message.
        durable: Whether to wait until the data is on the disk, so that it survives a power failure.

    Raises:
        OSError: If the file cannot be written; the message gives its name, its size and the free space. The previous
            file then remains, as after any error in ``write``.
    """
    final = Path(os.path.realpath(path))  # a link stays a link
    temporary = final.with_name(f'.{final.name[:200]}.{uuid.uuid4().hex}.tmp')
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, 'xb') as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, final)
        if durable:
            _sync_folder(final.parent)
    except BaseException as error:
        with suppress(OSError):  # it may not exist, and the first error is the one to report
            temporary.unlink()
        if isinstance(error, OSError):
            raise _explained(error, final, size) from error
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power failure, where the platform supports that."""
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
    return OSError(number, f'{text}: {error.strerror or error}; the previous file, if any, is unchanged')


@contextmanager
def locked(folder: PathLike, *words: str) -> Iterator[None]:
    """Hold the lock of this name in a folder, waiting while another process does.

    A lock is a byte range of one file, ``.lock``: it works over NFS, leaves nothing to clean up, and ends with its
    process, however that dies. It is advisory, and only there to save work that would be done twice: files are written
    atomically in any case. Threads of one process do not exclude each other, and locks of one folder must not be
    nested: the end of one ends all that the process holds there. Where the file system or the platform has no locks,
    nothing is locked; the log says so.

    Args:
        folder: created if it is missing.
        words: the name of the lock.

    Raises:
        OSError: if the lock's file cannot be written.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with open(Path(folder) / _LOCK_FILE, 'ab') as file:
        # Ends when the file is closed.
        _lock(file, int(hashlib.sha256('\0'.join(words).encode()).hexdigest()[:15], 16))
        yield


if sys.platform == 'win32':

    def _lock(file: BinaryIO, position: int) -> None:
        print_log(f'{file.name}: no locks on Windows: processes may do the same work', 'current', logging.WARNING)

else:

    def _lock(file: BinaryIO, position: int) -> None:
        try:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, position, os.SEEK_SET)
            except (BlockingIOError, PermissionError):  # either, depending on the system, if it is taken
                print_log(f'waiting for another process that does the same work ({file.name})', 'current', logging.INFO)
                fcntl.lockf(file, fcntl.LOCK_EX, 1, position, os.SEEK_SET)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            print_log(
                f'{file.name}: the file system has no locks ({error}): processes may do the same work',
                'current',
                logging.WARNING,
            )


def write_json(path: PathLike, obj: Any) -> None:
    """Write an object as indented JSON, atomically.

    Raises:
        TypeError: If ``obj`` cannot be serialized; nothing is written.
        OSError: See :func:`save_file_atomically`.
    """
    data = (json.dumps(obj, indent=2, ensure_ascii=False) + '\n').encode()
    save_file_atomically(path, lambda file: file.write(data), size=len(data))


def save_tensors(path: PathLike, kind: str, content: dict[str, Any]) -> None:
    """Write tensors and plain data as a file that :func:`load_tensors` recognizes, atomically.

    Args:
        path: The file.
        kind: The format identifier, such as ``'mmadvdefense purifier'``.
        content: The values to save.

    Raises:
        OSError: See :func:`save_file_atomically`.
    """
    save_file_atomically(path, lambda file: torch.save({'format': kind, 'version': 1, **content}, file))


def load_tensors(path: PathLike, kind: str, name: str, made_with: str) -> dict[str, Any]:
    """Read what :func:`save_tensors` wrote, onto the CPU.

    Args:
        path: The file.
        kind: The format identifier with which it was saved.
        name: The name of the format in error messages.
        made_with: The command that creates such a file, for error messages.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file has another format, such as a training checkpoint.
        mmadvdefense.compat.CheckpointRefused: If it holds more than data.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f'{name} not found: {path}')
    compat.check_checkpoint(path)
    content = torch.load(path, map_location='cpu', weights_only=True)
    if not isinstance(content, dict) or content.get('format') != kind:
        raise UsageError(f'{path} is not a {name}; create one with {made_with}')
    return content
