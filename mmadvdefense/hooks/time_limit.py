"""Training for a given time instead of a number of iterations."""

from __future__ import annotations

import time
from typing import Callable, Optional

from mmengine.dist import broadcast_object_list, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from ..errors import UsageError
from ..registry import HOOKS

# Takes the share of the time that has passed (0-1) and the number of finished iterations.
Report = Callable[[float, int], None]


@HOOKS.register_module()
class TimeLimitHook(Hook):
    """Ends iteration-based training after a given time, by when the learning rate has decayed to zero.

    The learning rate is that of the optimizer until ``decay_from`` of the time has passed, then falls linearly, as it
    does over iterations in the default recipes. It depends on the clock, so two runs differ; leave parameter schedulers
    out. The last iteration is finished, so training may take longer by one. Several processes follow the first one's
    clock.

    Args:
        seconds: from the first iteration on.
        decay_from: share of the time, in [0, 1).
        report: called after every iteration.

    Raises:
        UsageError: for a value out of range; before training, for epoch-based training, which ends with an epoch only.
    """

    # Other hooks have finished with the iteration.
    priority = 'VERY_LOW'

    def __init__(self, seconds: float, decay_from: float = 0.5, report: Optional[Report] = None):
        if not (seconds > 0 and 0 <= decay_from < 1):
            raise UsageError(
                f'TimeLimitHook: seconds > 0 and 0 <= decay_from < 1, got seconds={seconds}, decay_from={decay_from}'
            )
        self.seconds = seconds
        self.decay_from = decay_from
        self.report = report
        self._start: Optional[float] = None
        self._rates: list[float] = []

    def before_train(self, runner) -> None:
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            raise UsageError(
                'TimeLimitHook ends training between iterations: set train_cfg=dict(by_epoch=False, max_iters=...), '
                'with more iterations than there is time for'
            )
        self._start = None
        self._rates = [group['lr'] for group in runner.optim_wrapper.param_groups]

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        # Not before: the workers of the data loader have to start first.
        self._start = time.perf_counter() if self._start is None else self._start
        factor = self.factor(self._share())
        for group, rate in zip(runner.optim_wrapper.param_groups, self._rates):
            group['lr'] = rate * factor

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        share = self._share()
        runner.train_loop.stop_training = share >= 1
        if self.report is not None:
            self.report(share, runner.iter + 1)

    def factor(self, share: float) -> float:
        """What the learning rate is multiplied with after a share of the time."""
        return min(1.0, (1 - share) / (1 - self.decay_from))

    def _share(self) -> float:
        assert self._start is not None, 'an iteration has begun'
        share = [min((time.perf_counter() - self._start) / self.seconds, 1.0)]
        if get_world_size() > 1:
            broadcast_object_list(share)
        return share[0]
