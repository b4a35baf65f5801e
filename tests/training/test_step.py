"""A training step is filled on its way, and nothing keeps it longer than the iteration."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmadvdefense.purifiers import STEP
from mmadvdefense.training.step import TrainingStep

pytest.importorskip('mmpretrain')


class Follow(Hook):
    """Knows each step without keeping it, and keeps the batches that it came in."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.steps: list[weakref.ref] = []
        self.batches: list[dict] = []
        self.alive_after: list[bool] = []

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        assert data_batch[STEP].images is None, 'the purifier has not run'
        self.steps.append(weakref.ref(data_batch[STEP]))
        self.batches.append(data_batch)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.alive_after.append(self.steps[-1]() is not None)


def _training_hook(runner):
    return next(hook for hook in runner.hooks if type(hook).__name__ == 'PurifierTrainHook')


def _assert_nothing_is_left(runner, follow: Follow) -> None:
    gc.collect()
    assert not any(isinstance(found, TrainingStep) for found in gc.get_objects())
    assert all(step() is None for step in follow.steps)
    assert all(batch.keys() == {'inputs', 'data_samples'} for batch in follow.batches)
    hook = _training_hook(runner)
    assert hook._step is None and hook._tap.value is None
    layers = [module for module in runner.model.modules() if module is not runner.model]
    assert not any(module._forward_hooks for module in layers), 'the tap has left its layer'
    assert not any(isinstance(value, torch.Tensor) for value in vars(runner.model.data_preprocessor).values())


@pytest.mark.parametrize('losses', ['all', 'none'])
def test_a_step_is_gone_after_its_iteration(train, losses):
    follow = Follow()
    runner, _ = train(lambda runner: runner.register_hook(follow), hook=dict(losses=[]) if losses == 'none' else None)
    assert follow.alive_after == [False, False], 'without waiting for the garbage collector'
    _assert_nothing_is_left(runner, follow)


def _fail(*args, **kwargs):
    raise ArithmeticError('on purpose')


@pytest.mark.parametrize('place', ['attack', 'generator', 'target', 'loss'])
def test_a_step_is_gone_after_an_error(make_config, monkeypatch, place):
    runner, follow = Runner.from_cfg(make_config()), Follow()
    runner.register_hook(follow)
    hook, model = _training_hook(runner), runner.model
    owner, name = {
        'attack': (type(hook.attack), '__call__'),
        'generator': (model.data_preprocessor.generator, 'forward'),
        'target': (model.head, 'loss'),
        'loss': (hook.losses[0], 'forward'),
    }[place]
    monkeypatch.setattr(owner, name, _fail)
    with pytest.raises(ArithmeticError, match='on purpose'):
        runner.train()
    assert len(follow.steps) == (place != 'attack') and follow.alive_after == []
    _assert_nothing_is_left(runner, follow)


def test_an_error_while_the_reference_is_computed(make_config):
    """The tap has recorded a layer by then."""
    runner, follow = Runner.from_cfg(make_config()), Follow()
    runner.register_hook(follow)
    runner.model.head.fc.forward = _fail
    with pytest.raises(ArithmeticError, match='on purpose'):
        runner.train()
    _assert_nothing_is_left(runner, follow)


def test_the_host_never_sees_the_step(make_config):
    seen = []
    runner = Runner.from_cfg(make_config())
    forward = runner.model.forward
    runner.model.forward = lambda *args, **kwargs: seen.append(set(kwargs)) or forward(*args, **kwargs)
    runner.train()
    assert {'inputs', 'data_samples', 'mode'} in seen and not any(STEP in names for names in seen)
