"""Locks between processes: who waits for whom, and what remains of a lock whose holder dies."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time

import pytest

from mmadvdefense import saving
from mmadvdefense.saving import locked

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='no locks there')


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock ``a``; told to let go, it takes its time, and writes a file before it does."""
    ready, started = os.pipe()
    told, let_go = os.pipe()
    child = os.fork()
    if not child:
        with locked(tmp_path, 'a'):
            os.write(started, b'.')
            os.read(told, 1)
            time.sleep(0.1)
            (tmp_path / 'done').touch()
        os._exit(0)
    os.read(ready, 1)
    yield child, let_go
    for end in (ready, started, told, let_go):
        os.close(end)


def test_waits_for_the_same_name_alone(tmp_path, holder):
    child, let_go = holder
    with locked(tmp_path, 'b'), locked(tmp_path / 'other', 'a'):
        assert not (tmp_path / 'done').exists()
    os.write(let_go, b'.')
    with locked(tmp_path, 'a'):
        assert (tmp_path / 'done').exists()
    assert os.waitpid(child, 0)[1] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.lock', 'done', 'other']
    assert not (tmp_path / '.lock').stat().st_size


def test_ends_with_its_process(tmp_path, holder):
    os.kill(holder[0], signal.SIGKILL)
    os.waitpid(holder[0], 0)
    with locked(tmp_path, 'a'):
        assert not (tmp_path / 'done').exists()


def test_goes_on_where_there_are_no_locks(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(saving, 'print_log', lambda text, *_: said.append(text))

    def fail(number):
        def lockf(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(saving.fcntl, 'lockf', lockf)

    fail(errno.ENOLCK)
    with locked(tmp_path, 'a'):
        pass
    assert len(said) == 1 and 'the file system has no locks' in said[0] and str(tmp_path) in said[0]
    fail(errno.EIO)
    with pytest.raises(OSError, match='Input/output'), locked(tmp_path, 'a'):
        pass
