"""Stops a diverged training before it overwrites anything good, without waiting for the device each iteration."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.hooks import Hook
from torch import Tensor

from ..registry import HOOKS


@HOOKS.register_module()
class FiniteLossGuardHook(Hook):
    """Raises ``FloatingPointError`` when a loss was NaN or infinite, at the latest before a checkpoint is written.

    Args:
        interval: look every so many iterations; each look waits for the device.
    """

    priority = 'VERY_HIGH'

    def __init__(self, interval: int = 50):
        self.interval = interval
        self._finite: dict[str, Tensor] = {}

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: Optional[dict] = None) -> None:
        for name, value in (outputs or {}).items():
            if isinstance(value, Tensor):
                finite = value.detach().isfinite().all()
                self._finite[name] = self._finite[name] & finite if name in self._finite else finite
        if self.every_n_train_iters(runner, self.interval):
            self._check(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        self._check(runner)
        broken = [
            name
            for name, value in checkpoint['state_dict'].items()
            if value.is_floating_point() and not torch.isfinite(value).all()
        ]
        if broken:
            self._stop(runner, f'parameter {broken[0]}')

    def _check(self, runner) -> None:
        if not self._finite:
            return
        flags = torch.stack([flag.float() for flag in self._finite.values()]).tolist()
        broken = [name for name, finite in zip(self._finite, flags) if not finite]
        self._finite.clear()
        if broken:
            self._stop(runner, ', '.join(broken))

    def _stop(self, runner, what: str) -> None:
        last = runner.message_hub.get_info('last_ckpt') if 'last_ckpt' in runner.message_hub.runtime_info else None
        raise FloatingPointError(
            f'training diverged by iteration {runner.iter + 1}: {what} is not finite. '
            f'Last good checkpoint: {last or "none yet"}. Lower the learning rate or clip gradients '
            '(--cfg-options optim_wrapper.clip_grad.max_norm=1)'
        )
