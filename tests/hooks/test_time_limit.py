"""``TimeLimitHook``: when training ends, and what the learning rate is until then."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from mmengine.hooks import Hook

from mmadvdefense.errors import UsageError
from mmadvdefense.hooks import TimeLimitHook
from mmadvdefense.hooks import time_limit as module


class Rates(Hook):
    """Notes the learning rate of every iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.rates = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates += runner.optim_wrapper.get_lr()['lr']


def test_ends_in_time_and_decays(train, monkeypatch):
    """Each look at the clock takes a second: two an iteration, and one for the start."""
    seconds = itertools.count()
    monkeypatch.setattr(module, 'time', SimpleNamespace(perf_counter=lambda: float(next(seconds))))
    told = []
    rates = Rates()

    def prepare(runner):
        runner.register_hook(TimeLimitHook(8, report=lambda share, iterations: told.append((share, iterations))))
        runner.register_hook(rates)

    runner, spy = train(
        prepare,
        train_cfg=dict(_delete_=True, by_epoch=False, max_iters=100, val_interval=1000),
        train_dataloader=dict(sampler=dict(type='InfiniteSampler')),
        log_processor=dict(by_epoch=False),
    )
    assert runner.iter == 4 == len(spy.outputs)
    # Shares of 1/8, 3/8, 5/8 and 7/8 of the time have passed when the iterations begin.
    assert rates.rates == pytest.approx([1e-3, 1e-3, 0.75e-3, 0.25e-3])
    assert told == [(2 / 8, 1), (4 / 8, 2), (6 / 8, 3), (1.0, 4)]


@pytest.mark.parametrize('settings', [dict(seconds=0), dict(seconds=5, decay_from=1.0), dict(seconds=-1)])
def test_values_out_of_range(settings):
    with pytest.raises(UsageError, match='TimeLimitHook: seconds > 0 and 0 <= decay_from < 1, got'):
        TimeLimitHook(**settings)


def test_epochs_are_refused(train):
    with pytest.raises(UsageError, match='ends training between iterations: set train_cfg=dict'):
        train(lambda runner: runner.register_hook(TimeLimitHook(8)))
