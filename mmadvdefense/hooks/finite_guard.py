"""Stops a diverged training before it overwrites a good checkpoint, without a device sync in every iteration."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.hooks import Hook
from torch import Tensor

from ..errors import DivergenceError
from ..registry import HOOKS


@HOOKS.register_module()
class FiniteLossGuardHook(Hook):
    """Raises ``FloatingPointError`` if a loss was NaN or infinite, at the latest before a checkpoint is written.

    The message names the non-finite terms of the first such iteration, and the last good checkpoint.

    Args:
        interval: number of iterations between checks; each check synchronizes with the device.
    """

    priority = 'VERY_HIGH'

    def __init__(self, interval: int = 50):
        self.interval = interval
        # For each iteration since the last check: its number, the names of its losses, and whether each is finite.
        self._unseen: list[tuple[int, list[str], Tensor]] = []
        self._iteration = 0
        self._last_good: Optional[str] = None

    def before_train(self, runner) -> None:
        self._unseen.clear()
        self._last_good = _last_checkpoint(runner)  # exists only in a resumed run

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: Optional[dict] = None) -> None:
        self._iteration = runner.iter + 1
        losses = {name: value for name, value in (outputs or {}).items() if isinstance(value, Tensor)}
        if losses:
            finite = torch.stack([value.detach().isfinite().all() for value in losses.values()])
            self._unseen.append((self._iteration, list(losses), finite))
        if self.every_n_train_iters(runner, self.interval):
            self._check()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        self._check()
        broken = [
            name
            for name, value in checkpoint['state_dict'].items()
            if value.is_floating_point() and not torch.isfinite(value).all()
        ]
        if broken:
            self._stop(self._iteration, f'parameter {broken[0]}')
        # The checkpoint about to be written; if that fails, the run ends anyway.
        self._last_good = _last_checkpoint(runner)

    def _check(self) -> None:
        if not self._unseen:
            return
        flags = iter(torch.cat([finite for _, _, finite in self._unseen]).tolist())
        seen, self._unseen = self._unseen, []
        for iteration, names, _ in seen:
            broken = [name for name in names if not next(flags)]
            if broken:
                # In later iterations every term is non-finite; in this one, blame all terms but the total.
                self._stop(iteration, ', '.join([name for name in broken if name != 'loss'] or broken))

    def _stop(self, iteration: int, what: str) -> None:
        raise DivergenceError(
            f'training diverged in iteration {iteration}: {what} is not finite. '
            f'Last good checkpoint: {self._last_good or "none yet"}. Lower the learning rate or clip gradients '
            '(--cfg-options optim_wrapper.clip_grad.max_norm=1)'
        )


def _last_checkpoint(runner) -> Optional[str]:
    """The path that MMEngine's ``CheckpointHook`` records, before it writes the file."""
    return runner.message_hub.get_info('last_ckpt') if 'last_ckpt' in runner.message_hub.runtime_info else None
