"""A clock and a counter on the parts of a training step."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import Callable, Iterator
from unittest import mock

from mmengine.runner import Runner
from torch import nn

from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.tasks import task_of

STAGES = {
    'attack': 'attack',
    'reference': 'reference O(x_c)',
    'G': 'G forward',
    'O': 'O forward and task loss',
    'D': 'D forward',
    'losses': 'loss terms',
    'backward': 'backward',
    'optimizer': 'optimizer step',
    'step': 'everything else',
}


class StepProbe:
    """Times and counts what runs in a training step. It changes nothing, and :meth:`installed` removes it again.

    Attributes:
        seconds: for each stage, the time it took in each step, without the stages inside it.
        counts: how often ``'G'``, ``'D'`` and, for O, ``('O', stage)`` have run.

    Args:
        synchronize: is called before the clock is read.
    """

    def __init__(self, synchronize: Callable[[], None] = lambda: None):
        self.synchronize = synchronize
        self.seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
        self.counts: Counter = Counter()
        self._running: list[str] = []
        self._current: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._since = 0.0

    # --- the clock ------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Add the time since the last turn to the innermost running stage."""
        self.synchronize()
        now = time.perf_counter()
        if self._running:
            self._current[self._running[-1]] += now - self._since
        self._since = now

    def enter(self, stage: str) -> None:
        self._turn()
        self._running.append(stage)

    def leave(self, stage: str) -> None:
        self._turn()
        assert self._running.pop() == stage, f'{stage} is not the innermost stage'

    @contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        self.enter(stage)
        try:
            yield
        finally:
            self.leave(stage)

    def timed(self, stage: str, function: Callable) -> Callable:
        def call(*args, **kwargs):
            with self.stage(stage):
                return function(*args, **kwargs)

        return call

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a whole step."""
        self._current = dict.fromkeys(STAGES, 0.0)
        with self.stage('step'):
            yield
        for stage, times in self.seconds.items():
            times.append(self._current[stage])

    # --- what it observes -----------------------------------------------------------------------------------

    @contextmanager
    def installed(self, runner: Runner) -> Iterator[StepProbe]:
        """Hooks on O, G and D, and a clock around the reference, the backward pass and the optimizer."""
        model, optim_wrapper = runner.model, runner.optim_wrapper
        purifier, task = model.data_preprocessor, type(task_of(model))
        handles = [
            *self._watch(purifier.generator, 'G'),
            *(self._watch(purifier.discriminator, 'D') if getattr(purifier, 'discriminator', None) else []),
            model.backbone.register_forward_pre_hook(self._count_target),
            model.register_forward_pre_hook(self._enter_target, with_kwargs=True),
            # The training hook computes the loss terms in its own forward hook, which runs between these two.
            model.register_forward_hook(self._enter_losses, with_kwargs=True, prepend=True),
            model.register_forward_hook(self._leave_losses, with_kwargs=True),
        ]
        with ExitStack() as patches:
            timed = {
                (task, 'reference'): self.timed('reference', task.reference),
                (optim_wrapper, 'backward'): self.timed('backward', optim_wrapper.backward),
                (optim_wrapper, 'step'): self.timed('optimizer', optim_wrapper.step),
            }
            for (owner, name), function in timed.items():
                patches.enter_context(mock.patch.object(owner, name, function))
            try:
                yield self
            finally:
                for handle in handles:
                    handle.remove()

    def _watch(self, module: nn.Module, name: str) -> list:
        def begin(*_) -> None:
            self.counts[name] += 1
            self.enter(name)

        return [module.register_forward_pre_hook(begin), module.register_forward_hook(lambda *_: self.leave(name))]

    def _count_target(self, *_) -> None:
        # Every host has a backbone, whereas tasks may call parts of a model other than its forward.
        self.counts['O', self._running[-1]] += 1

    def _in_training(self, kwargs: dict) -> bool:
        return kwargs.get('mode') == 'loss' and 'attack' not in self._running

    def _enter_target(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        if self._in_training(kwargs):
            self.enter('O')

    def _enter_losses(self, module: nn.Module, args: tuple, kwargs: dict, output) -> None:
        if self._in_training(kwargs):
            self.leave('O')
            self.enter('losses')

    def _leave_losses(self, module: nn.Module, args: tuple, kwargs: dict, output) -> None:
        if self._in_training(kwargs):
            self.leave('losses')


def train_step(runner: Runner, hook: PurifierTrainHook, batch: dict, index: int, probe: StepProbe) -> dict:
    """What MMEngine's training loop runs for one batch, with only the hook that makes the adversarial half."""
    with probe.step():
        with probe.stage('attack'):
            hook.before_train_iter(runner, index, batch)
        outputs = runner.model.train_step(batch, runner.optim_wrapper)
        hook.after_train_iter(runner, index, batch, outputs)
    return outputs
