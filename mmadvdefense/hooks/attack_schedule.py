"""A curriculum: the budget of the training attack grows."""

from __future__ import annotations

from typing import Optional

from mmengine.hooks import Hook

from ..errors import UsageError
from ..registry import HOOKS
from ..validation import check_integer
from .attacking import AttackingHook, attacking_hook


@HOOKS.register_module()
class AttackScheduleHook(Hook):
    """Lets eps and step size of the training attack grow linearly from a share of them to the whole.

    For a :class:`PurifierTrainHook` or an :class:`AdversarialTrainingHook`. The share depends on the number of the
    iteration alone, so a resumed run matches an uninterrupted one. Validation losses are computed with the whole
    budget, so that they remain comparable.

    Args:
        iters: number of iterations until the whole budget is reached.
        epochs: the same in epochs, instead of ``iters``.
        start: share at the first iteration, in [0, 1).

    Raises:
        ValueError: for a length that is not given or given twice, or a value out of range; before training, without a
            hook whose attack it schedules, or for an attack whose budget cannot grow.
    """

    # Runs before the hook that attacks.
    priority = 'ABOVE_NORMAL'
    # Set during training only.
    _attacking: AttackingHook

    def __init__(self, iters: Optional[int] = None, epochs: Optional[int] = None, start: float = 0.0):
        if (iters is None) == (epochs is None):
            raise UsageError(f'AttackScheduleHook: set iters or epochs, got iters={iters}, epochs={epochs}')
        check_integer(type(self).__name__, **(dict(epochs=epochs) if iters is None else dict(iters=iters)))
        if not 0 <= start < 1:
            raise UsageError(f'AttackScheduleHook: start is the share of the budget at first, 0 to 1, got {start}')
        self.length = int((epochs if iters is None else iters) or 0)
        self.by_epoch = iters is None
        self.start = start

    def before_train(self, runner) -> None:
        self._attacking = attacking_hook(runner, type(self).__name__)
        for attack in self._attacking.attacks:
            attack.scaled(self.start)
        self._iters = self.length * (len(runner.train_dataloader) if self.by_epoch else 1)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        self._attacking.attack_share = self.share(runner.iter, self._iters)

    def before_val_epoch(self, runner) -> None:
        for hook in runner.hooks:
            if isinstance(hook, AttackingHook):
                hook.attack_share = 1.0

    def after_train(self, runner) -> None:
        self._attacking.attack_share = 1.0
        del self._attacking

    def share(self, iteration: int, length: int) -> float:
        """The share of the budget in an iteration, counted from 0."""
        return min(self.start + (1 - self.start) * iteration / length, 1.0)
