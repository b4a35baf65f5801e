"""The runner for training a purifier or a model."""

from __future__ import annotations

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..registry import HOOKS, builds


def build_runner(config: Config) -> Runner:
    """A runner that writes checkpoints atomically and stops at the first non-finite loss.

    Args:
        config: after :func:`~mmadvdefense.training.preparation.prepare_for_training`.
    """
    protect_checkpoints(config)
    hooks = list(config.get('custom_hooks') or [])
    if not any(builds(hook, 'FiniteLossGuardHook', HOOKS) for hook in hooks):
        hooks.append(dict(type='FiniteLossGuardHook'))
    config.custom_hooks = hooks
    return Runner.from_cfg(config)


def protect_checkpoints(config: Config) -> None:
    """Write checkpoints atomically, so that neither a full disk nor a killed process can corrupt them."""
    if config.get('default_hooks') is None:
        config.default_hooks = ConfigDict()
    checkpoint = config.default_hooks.setdefault('checkpoint', ConfigDict())
    if checkpoint is None:  # disabled in the config
        return
    checkpoint.setdefault('type', 'CheckpointHook')
    if checkpoint.get('backend_args') is None:
        checkpoint.backend_args = dict(backend='atomic')
    if checkpoint.get('max_keep_ckpts') == 1:
        # MMEngine removes the old checkpoint before it writes the new one.
        print_log('max_keep_ckpts=1 leaves no checkpoint if writing the next one fails; keeping 2', 'current')
        checkpoint.max_keep_ckpts = 2
