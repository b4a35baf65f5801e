"""What a checkpoint fills, what is said if it does not, and what is left on the disk when writing fails."""

import errno
import itertools
import json
import os
import resource
from collections import OrderedDict
from contextlib import contextmanager

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get_file_backend
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmadvdefense import checkpoints
from mmadvdefense.checkpoints import (
    AtomicLocalBackend,
    CheckpointMismatch,
    check_state_dict,
    load_target,
    save_file_atomically,
    write_json,
)
from mmadvdefense.compat import CheckpointRefused


class Head(nn.Module):
    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        self.fc = nn.Linear(4, num_classes)


class Target(nn.Module):
    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.data_preprocessor = nn.Linear(1, 1)
        self.backbone = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
        self.head = Head(num_classes)


OWN = 9  # Target's tensors without its preprocessor: 2 + 5 + 2


def without(state_dict, *names):
    return {name: value for name, value in state_dict.items() if name not in names}


class TestCheckStateDict:
    def test_complete(self):
        report = check_state_dict(Target(), Target().state_dict())
        assert (len(report.matched), report.missing, report.unexpected, report.mismatched) == (OWN, [], [], [])
        assert str(report) == 'loaded 9 of 9 tensors of the target; 0 missing'

    def test_ignores_the_preprocessor_on_both_sides(self):
        state = Target().state_dict()
        trained = {**state, 'data_preprocessor.generator.weight': torch.zeros(1)}
        bare = without(state, 'data_preprocessor.weight', 'data_preprocessor.bias')
        assert check_state_dict(Target(), trained).unexpected == []
        assert len(check_state_dict(Target(), bare).matched) == OWN
        with pytest.raises(CheckpointMismatch, match='data_preprocessor.weight'):
            check_state_dict(Target(), bare, ignore=())

    def test_strips_module(self):
        state = {f'module.{name}': value for name, value in Target().state_dict().items()}
        assert len(check_state_dict(Target(), state).matched) == OWN

    def test_tolerates_old_batch_norm(self):
        report = check_state_dict(Target(), without(Target().state_dict(), 'backbone.1.num_batches_tracked'))
        assert report.tolerated == ['backbone.1.num_batches_tracked']
        assert report.missing == []
        assert str(report) == (
            'loaded 8 of 9 tensors of the target; 0 missing; 1 that need no loading (backbone.1.num_batches_tracked)'
        )

    def test_reports_what_is_not_used(self):
        report = check_state_dict(Target(), {**Target().state_dict(), 'aux.weight': torch.zeros(1)})
        assert report.unexpected == ['aux.weight']
        assert '1 in the checkpoint not used (aux.weight)' in str(report)

    def test_refuses_another_model(self):
        state = {name: torch.zeros(1) for name in ('conv1.weight', 'bn1.weight', 'bn1.bias', 'fc.weight')}
        with pytest.raises(CheckpointMismatch) as error:
            check_state_dict(Target(), state, source='net.pth')
        text = str(error.value)
        assert text.startswith('net.pth has nothing for this model')
        assert 'the checkpoint has conv1.weight, bn1.weight, bn1.bias and 1 more' in text
        assert 'the model has backbone.0.weight, backbone.0.bias, backbone.1.weight and 6 more' in text
        assert 'tools/convert_checkpoint.py' in text

    def test_refuses_another_number_of_classes(self):
        with pytest.raises(CheckpointMismatch) as error:
            check_state_dict(Target(10), Target(100).state_dict(), source='net.pth')
        assert str(error.value) == (
            'net.pth does not fit this model: head.fc.weight is (100, 4) there and (10, 4) in the model, '
            'head.fc.bias is (100,) there and (10,) in the model. '
            'The checkpoint was trained for 100 classes, the target has 10'
        )

    def test_refuses_another_width_without_talking_of_classes(self):
        state = {**Target().state_dict(), 'backbone.0.weight': torch.zeros(4, 7)}
        with pytest.raises(CheckpointMismatch, match=r'backbone.0.weight is \(4, 7\) there and \(4, 2\)') as error:
            check_state_dict(Target(), state)
        assert 'classes' not in str(error.value)

    def test_last_layer_of_a_model_that_does_not_say_its_classes(self):
        with pytest.raises(CheckpointMismatch, match='was trained for 7 classes, the target has 3$'):
            check_state_dict(
                nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3)),
                nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 7)).state_dict(),
            )
        with pytest.raises(CheckpointMismatch) as error:
            check_state_dict(
                nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3)), {'0.weight': torch.zeros(5, 2)}
            )
        assert 'classes' not in str(error.value)

    def test_refuses_a_part(self):
        names = [name for name in Target().state_dict() if name.startswith('backbone')]
        with pytest.raises(CheckpointMismatch) as error:
            check_state_dict(Target(), without(Target().state_dict(), *names), source='net.pth')
        # The counter of the batch norm is tolerated, which leaves six.
        assert 'net.pth would leave 6 of 9 tensors of this model untrained: backbone.0.weight' in str(error.value)
        assert 'backbone.1.bias, backbone.1.running_mean and 1 more' in str(error.value)

    @pytest.mark.parametrize(
        'classes, theirs, ours, expected',
        [
            (None, 100, 10, (100, 10)),  # nothing is known: one channel a class
            (20, 80, 20, (80, 20)),
            (20, 81, 21, (80, 20)),  # with a background
            (20, 9 * 80, 9 * 20, (80, 20)),  # nine anchors
            (20, 4 * 81, 4 * 21, (80, 20)),  # four anchors and a background
            (20, 64, 33, None),  # not about classes
        ],
    )
    def test_channels_as_classes(self, classes, theirs, ours, expected):
        assert checkpoints._as_classes(classes, theirs, ours) == expected

    def test_accepts_what_the_model_converts_itself(self):
        class Renaming(nn.Linear):
            """Like mmcv's deformable convolutions, whose old checkpoints have other names."""

            def _load_from_state_dict(self, state_dict, prefix, *args):
                if f'{prefix}kernel' in state_dict:
                    state_dict[f'{prefix}weight'] = state_dict.pop(f'{prefix}kernel')
                super()._load_from_state_dict(state_dict, prefix, *args)

        class Resizing(nn.Module):
            """Like the position embeddings of transformers."""

            def __init__(self):
                super().__init__()
                self.embedding = nn.Parameter(torch.zeros(4))
                self.register_buffer('index', torch.arange(4))
                self._register_load_state_dict_pre_hook(self.resize)

            def resize(self, state_dict, prefix, *args):
                state_dict[f'{prefix}embedding'] = state_dict[f'{prefix}embedding'][:4]
                del state_dict[f'{prefix}index']

        model = nn.ModuleDict(dict(a=Renaming(2, 2), b=Resizing()))
        before = {name: value.clone() for name, value in model.state_dict().items()}
        old = {
            'a.kernel': torch.ones(2, 2),
            'a.bias': torch.ones(2),
            'b.embedding': torch.ones(9),
            'b.index': torch.arange(9),
        }
        report = check_state_dict(model, old)
        assert sorted(report.matched) == ['a.bias', 'a.weight', 'b.embedding']
        assert report.tolerated == ['b.index']
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), 'nothing is loaded'
        assert list(old) == ['a.kernel', 'a.bias', 'b.embedding', 'b.index']

    def test_a_conversion_that_fails_is_told(self):
        class Failing(nn.Linear):
            def _load_from_state_dict(self, *args):
                raise NotImplementedError('no interpolation')

        with pytest.raises(NotImplementedError, match='no interpolation'):
            check_state_dict(Failing(2, 2), {'weight': torch.zeros(3, 2), 'bias': torch.zeros(2)})

    def test_a_failing_rehearsal_leaves_the_model(self):
        model = Target()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with pytest.raises(CheckpointMismatch):
            check_state_dict(model, Target(100).state_dict())
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class TestLoadTarget:
    @pytest.mark.parametrize('wrap', [lambda state: state, lambda state: dict(state_dict=state, meta=dict(epoch=3))])
    def test_loads_all_but_the_preprocessor(self, tmp_path, wrap):
        source, model = Target(), Target()
        own = model.data_preprocessor.weight.clone()
        torch.save(wrap(source.state_dict()), tmp_path / 'net.pth')
        assert len(load_target(model, tmp_path / 'net.pth').matched) == OWN
        assert torch.equal(model.head.fc.weight, source.head.fc.weight)
        assert torch.equal(model.data_preprocessor.weight, own)

    def test_names_the_file(self, tmp_path):
        torch.save(Target(100).state_dict(), tmp_path / 'net.pth')
        with pytest.raises(CheckpointMismatch, match='net.pth does not fit'):
            load_target(Target(10), tmp_path / 'net.pth')
        with pytest.raises(FileNotFoundError, match='there is no checkpoint .*absent.pth'):
            load_target(Target(), tmp_path / 'absent.pth')

    def test_no_state_dict(self, tmp_path):
        torch.save(torch.zeros(2), tmp_path / 'net.pth')
        with pytest.raises(ValueError, match='net.pth holds no state dict but a Tensor'):
            load_target(Target(), tmp_path / 'net.pth')

    def test_refuses_code(self, tmp_path):
        torch.save(dict(state_dict=Target().state_dict(), extra=Head(1)), tmp_path / 'net.pth')
        with pytest.raises(CheckpointRefused):
            load_target(Target(), tmp_path / 'net.pth')


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

        monkeypatch.setattr(checkpoints.os, 'fsync', full)
        with pytest.raises(OSError) as error:
            AtomicLocalBackend().put(b'new' * 100, path)
        assert error.value.errno == errno.ENOSPC
        assert f'cannot write {path}, which needs 300 bytes, with ' in str(error.value)
        assert 'bytes free: No space left on device' in str(error.value)
        assert path.read_bytes() == b'old'
        assert os.listdir(tmp_path) == ['a.bin']

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


def test_metadata_reaches_modules_that_convert_old_versions(tmp_path):
    class Versioned(nn.Linear):
        _version = 2
        seen: list = []

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
            self.seen.append(local_metadata.get('version'))
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    state = nn.ModuleDict(dict(a=nn.Linear(1, 1))).state_dict()
    assert isinstance(state, OrderedDict)
    torch.save(state, tmp_path / 'net.pth')
    load_target(nn.ModuleDict(dict(a=Versioned(1, 1))), tmp_path / 'net.pth')
    assert Versioned.seen == [1]
