"""What is left on the disk when writing fails."""

import errno
import itertools
import json
import os
import resource
from contextlib import contextmanager

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get_file_backend
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmadvdefense import saving
from mmadvdefense.saving import AtomicLocalBackend, save_file_atomically, write_json


class TestSaveFileAtomically:
    def test_writes_and_replaces(self, tmp_path):
        path = tmp_path / 'new' / 'folder' / 'a.bin'
        save_file_atomically(path, lambda file: file.write(b'one'))
        save_file_atomically(path, lambda file: file.write(b'two'))
        assert path.read_bytes() == b'two'
        assert os.listdir(path.parent) == ['a.bin']

    def test_an_error_of_the_writer_leaves_the_previous_file(self, tmp_path):
        path = tmp_path / 'a.bin'
        path.write_bytes(b'old')

        def interrupted(file):
            file.write(b'half')
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            save_file_atomically(path, interrupted)
        assert path.read_bytes() == b'old'
        assert os.listdir(tmp_path) == ['a.bin']

    def test_full_disk(self, tmp_path, monkeypatch):
        path = tmp_path / 'a.bin'
        path.write_bytes(b'old')

        def full(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(saving.os, 'fsync', full)
        with pytest.raises(OSError) as error:
            AtomicLocalBackend().put(b'new' * 100, path)
        assert error.value.errno == errno.ENOSPC
        assert f'cannot write {path}, which needs 300 bytes, with ' in str(error.value)
        assert 'bytes free: No space left on device' in str(error.value)
        assert path.read_bytes() == b'old'
        assert os.listdir(tmp_path) == ['a.bin']

    def test_waits_for_the_disk_unless_told_otherwise(self, tmp_path, monkeypatch):
        synced = []
        monkeypatch.setattr(saving.os, 'fsync', synced.append)
        save_file_atomically(tmp_path / 'a.bin', lambda file: file.write(b'one'), durable=False)
        assert (tmp_path / 'a.bin').read_bytes() == b'one' and not synced
        save_file_atomically(tmp_path / 'a.bin', lambda file: file.write(b'two'))
        assert synced

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / 'file').write_text('')
        with pytest.raises(OSError, match=r'cannot write .*file/sub/a.json, which needs 3 bytes, with \d+ bytes free'):
            write_json(tmp_path / 'file' / 'sub' / 'a.json', [])

    def test_follows_a_link(self, tmp_path):
        (tmp_path / 'link').symlink_to(tmp_path / 'real')
        save_file_atomically(tmp_path / 'link', lambda file: file.write(b'x'))
        assert (tmp_path / 'link').is_symlink()
        assert (tmp_path / 'real').read_bytes() == b'x'

    def test_json(self, tmp_path):
        write_json(tmp_path / 'a.json', {'é': [1, None]})
        assert json.loads((tmp_path / 'a.json').read_text(encoding='utf-8')) == {'é': [1, None]}
        with pytest.raises(TypeError):
            write_json(tmp_path / 'a.json', {'a': object()})
        assert json.loads((tmp_path / 'a.json').read_text(encoding='utf-8')) == {'é': [1, None]}

    def test_is_a_backend_of_mmengine(self, tmp_path):
        backend = get_file_backend(backend_args=dict(backend='atomic'))
        assert isinstance(backend, AtomicLocalBackend)
        backend.put_text('ü', tmp_path / 'a.txt', encoding='latin-1')
        assert (tmp_path / 'a.txt').read_bytes() == b'\xfc'


NUMBERS = itertools.count()


class Toy(BaseModel):
    """Its checkpoint, with Adam's two moments, takes about 200 kB: more than all that is logged."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4096, bias=False)

    def forward(self, x, mode='tensor'):
        y = self.layer(x)
        return dict(loss=y.pow(2).mean()) if mode == 'loss' else [y]


class Score(BaseMetric):
    default_prefix = 'toy'

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(score=float(len(results)))


def runner(folder, max_epochs, resume=False, **hook):
    loader = dict(
        dataset=[dict(x=torch.ones(4)) for _ in range(4)],
        batch_size=2,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    return Runner(
        Toy(),
        str(folder),
        train_dataloader=loader,
        val_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        val_cfg=dict(),
        val_evaluator=[Score()],
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
        param_scheduler=dict(type='LinearLR', start_factor=0.5),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1, backend_args=dict(backend='atomic'), **hook)
        ),
        resume=resume,
        log_level='ERROR',
        experiment_name=f'{folder.name}_{next(NUMBERS)}',  # runners of one name share their message hub
    )


@contextmanager
def no_room_for(size):
    """From here on, no file can grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def pointed_to(folder):
    return os.path.basename((folder / 'last_checkpoint').read_text())


class TestRunner:
    def test_saves_atomically_and_resumes(self, tmp_path, monkeypatch):
        written = []
        put = AtomicLocalBackend.put

        def recorded(self, obj, path):
            written.append(os.path.basename(path))
            put(self, obj, path)

        monkeypatch.setattr(AtomicLocalBackend, 'put', recorded)
        runner(tmp_path, 2, save_best='toy/score', rule='greater', max_keep_ckpts=2).train()
        assert written[:2] == ['epoch_1.pth', 'best_toy_score_epoch_1.pth']
        assert written[-1] == 'epoch_2.pth'
        resumed = runner(tmp_path, 3, resume=True, max_keep_ckpts=2)
        resumed.train()
        assert (resumed.epoch, resumed.iter) == (3, 6)
        assert pointed_to(tmp_path) == 'epoch_3.pth'
        assert sorted(path.name for path in tmp_path.glob('epoch_*')) == ['epoch_2.pth', 'epoch_3.pth']
        assert not list(tmp_path.glob('.*.tmp'))
        steps = torch.load(tmp_path / 'epoch_3.pth')['optimizer']['state'][0]['step']
        assert steps == 6, 'the optimizer was resumed too'

    def test_full_disk_leaves_the_previous_checkpoint(self, tmp_path):
        runner(tmp_path, 1, max_keep_ckpts=2).train()
        before = (tmp_path / 'epoch_1.pth').read_bytes()
        second = runner(tmp_path, 2, resume=True, max_keep_ckpts=2)
        with (
            no_room_for(len(before) // 2),
            pytest.raises(OSError, match=r'cannot write .*epoch_2.pth, which needs \d{6} '),
        ):
            second.train()
        assert (tmp_path / 'epoch_1.pth').read_bytes() == before
        assert pointed_to(tmp_path) == 'epoch_1.pth'
        assert [path.name for path in tmp_path.glob('*.pth')] + list(tmp_path.glob('.*.tmp')) == ['epoch_1.pth']
        third = runner(tmp_path, 2, resume=True, max_keep_ckpts=2)
        third.train()
        assert third.epoch == 2
        assert pointed_to(tmp_path) == 'epoch_2.pth'

    def test_without_it_mmengine_leaves_half_a_checkpoint(self, tmp_path):
        """Why the backend exists; if this fails, MMEngine has learnt it and the backend can go."""
        with no_room_for(50_000), pytest.raises(OSError):
            get_file_backend(backend_args=dict(backend='local')).put(b'0' * 100_000, tmp_path / 'a.pth')
        assert 0 < (tmp_path / 'a.pth').stat().st_size < 100_000

    def test_keeping_one_checkpoint_is_not_enough(self, tmp_path):
        """MMEngine deletes before it writes, so ``max_keep_ckpts=1`` cannot be made safe from here."""
        runner(tmp_path, 1, max_keep_ckpts=1).train()
        size = (tmp_path / 'epoch_1.pth').stat().st_size
        with no_room_for(size // 2), pytest.raises(OSError, match='cannot write'):
            runner(tmp_path, 2, resume=True, max_keep_ckpts=1).train()
        assert not list(tmp_path.glob('*.pth'))
        assert pointed_to(tmp_path) == 'epoch_1.pth'
