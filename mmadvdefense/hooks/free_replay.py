"""Free adversarial training, beside the hooks that train purifiers and models."""

from __future__ import annotations

import copy
from typing import Optional

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from torch import Tensor

from ..attacks.balls import BALLS
from ..datasets.replay import ReplayBatchSampler
from ..errors import UsageError
from ..pixels import Pixels
from ..registry import HOOKS
from ..training.free import FreePerturbation
from .attacking import AttackingHook, attacking_hook

_KEY = 'free_perturbation'


@HOOKS.register_module()
class FreeReplayHook(Hook):
    """Uses each batch several times, and moves its perturbation along the gradient of the same backward pass that
    updates the weights (Shafahi et al., "Adversarial Training for Free!", NeurIPS 2019, algorithm 1).

    For a :class:`PurifierTrainHook`, whose target and purifier the gradient goes through, or an
    :class:`AdversarialTrainingHook`. No attack runs in training iterations: the attack of that hook is used by probes
    and validation losses alone. The gradient is that of the whole training loss, in train mode. The data loader has to
    hand out each batch as often: ``train_dataloader=dict(batch_sampler=dict(type='ReplayBatchSampler', replays=...))``;
    as its augmentation differs each time, replays take images and ground truth of the first time.

    The perturbation is saved with checkpoints. With one process, a run that is resumed where a batch begins (after a
    multiple of ``replays`` iterations, and so after an epoch) matches an uninterrupted one.

    Args:
        replays: how many times each batch is used, m in the paper, where it is 8 for CIFAR.
        eps: radius of the ball in pixels (0-255).
        step_size: pixels (L-infinity) or length (L2) of one step; by default ``eps``, as in the paper.
        norm: ``'linf'`` or ``'l2'``.

    Raises:
        ValueError: for a value out of range; before training, without a hook that attacks, or for a data loader that
            does not replay.
    """

    # Runs before the hook that attacks.
    priority = 'ABOVE_NORMAL'
    # Set during training only.
    _attacking: AttackingHook
    _batch: Optional[tuple[Pixels, list]] = None

    def __init__(self, replays: int, eps: float, step_size: Optional[float] = None, norm: str = 'linf'):
        step_size = eps if step_size is None else step_size
        if not (eps > 0 and step_size > 0):
            raise UsageError(f'FreeReplayHook: eps and step_size are pixels > 0, got {eps} and {step_size}')
        if norm not in BALLS:
            raise UsageError(f'FreeReplayHook: unknown norm {norm!r}; known: {", ".join(BALLS)}')
        self.replays = replays
        self.free = FreePerturbation(eps, step_size, norm)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        saved = checkpoint.get(_KEY)
        # Each process has a perturbation of its own; that of the first is saved.
        if isinstance(saved, Tensor) and get_world_size() == 1:
            self.free.delta = saved

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self.free.delta is not None:
            checkpoint[_KEY] = self.free.delta.cpu()

    def before_train(self, runner) -> None:
        self._attacking = attacking_hook(runner, type(self).__name__)
        sampler = runner.train_dataloader.batch_sampler
        if not isinstance(sampler, ReplayBatchSampler) or sampler.replays != self.replays:
            raise UsageError(
                'FreeReplayHook needs a data loader that replays: set train_dataloader=dict('
                f"batch_sampler=dict(type='ReplayBatchSampler', replays={self.replays}))"
            )
        if runner.iter == 0:
            self.free.delta = None

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        self._attacking.free = self.free
        if runner.iter % self.replays == 0 or self._batch is None:
            # A copy of the samples, because hosts change them.
            self._batch = data_batch['inputs'], copy.deepcopy(data_batch['data_samples'])
        else:
            inputs, samples = self._batch
            data_batch.update(inputs=inputs, data_samples=copy.deepcopy(samples))

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.free.update()

    def before_val_epoch(self, runner) -> None:
        for hook in runner.hooks:
            if isinstance(hook, AttackingHook):
                hook.free = None

    def after_train(self, runner) -> None:
        self._attacking.free = self._batch = None
        del self._attacking
