"""What a checkpoint fills, and what is said if it does not."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from mmadvdefense.checkpoints import (
    CheckpointMismatch,
    check_state_dict,
    compare_state_dict,
    keep_own,
    load_target,
    loading,
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
        assert loading._as_classes(classes, theirs, ours) == expected

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


def test_unfit_names_all_that_differ():
    state = {**without(Target().state_dict(), 'head.fc.bias'), 'aux.weight': torch.zeros(1)}
    state['backbone.0.bias'] = torch.zeros(7)
    counters = {'backbone.1.num_batches_tracked': None, 'aux.num_batches_tracked': torch.zeros(())}
    report = compare_state_dict(Target(), {**state, **counters})
    assert report.unfit == ['aux.weight', 'backbone.0.bias', 'head.fc.bias']
    assert not compare_state_dict(Target(), without(Target().state_dict(), *counters)).unfit


def test_a_part_that_the_checkpoint_does_not_know_keeps_its_own():
    model, bare = Target(), without(Target().state_dict(), 'head.fc.weight', 'head.fc.bias')
    assert keep_own(model, bare, 'head.') is True
    assert torch.equal(bare['head.fc.weight'], model.head.fc.weight) and len(bare) == OWN + 2
    assert keep_own(model, {'module.head.fc.weight': torch.zeros(1)}, ('head.',)) is False


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
