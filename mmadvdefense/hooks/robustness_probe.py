"""Watches for catastrophic overfitting: a model that withstands the training attack and nothing else."""

from __future__ import annotations

from typing import Optional

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import Tensor

from ..attacks import AttackSource, Randomness, build_attack, derive_seed
from ..errors import UsageError
from ..models import unwrap
from ..pixels import Pixels
from ..registry import HOOKS
from ..tasks import task_of
from ..threats.checks import warn_of_unit_range
from ..validation import check_integer
from .attacking import attacking_hook, clean_pixels, set_aside

PGD10 = dict(type='PGD', eps=8, step_size=2, steps=10)


@HOOKS.register_module()
class RobustnessProbeHook(Hook):
    """At intervals, attacks images of the training batch as an attacker would who knows everything, and warns if only
    the training attack is withstood (Wong et al., "Fast is better than free", ICLR 2020, section 5.4).

    With a :class:`PurifierTrainHook`, the probe has the gradient through purifier and target; with an
    :class:`AdversarialTrainingHook`, that of the model. Logged as ``accuracy/training_attack`` and ``accuracy/probe``:
    the shares of right decisions (on images, pixels or labels) after the update, in eval mode. Training is the same
    with and without the probe, bit for bit.

    Args:
        interval: number of iterations between probes; each synchronizes with the device.
        attack: config of the probe's attack, by default PGD with 10 steps at eps 8.
        num_images: how many images of each rank's batch are used.
        high: accuracy under the training attack from which on a low one under the probe is suspicious.
        collapsed: accuracy under the probe up to which it counts as collapsed.
        stop: end the training as well, at once in iteration-based and after the epoch in epoch-based training.

    Raises:
        ValueError: for an invalid attack or a value out of range; before training, without a hook that attacks, or for
            a task without class scores.
    """

    # Takes images and ground truth before the training attack replaces them, and hosts change them.
    priority = 'ABOVE_NORMAL'
    _source: AttackSource

    def __init__(
        self,
        interval: int = 200,
        attack: Optional[dict] = None,
        num_images: int = 64,
        high: float = 0.4,
        collapsed: float = 0.1,
        stop: bool = False,
    ):
        check_integer(type(self).__name__, interval=interval, num_images=num_images)
        if not 0 <= collapsed < high <= 1:
            raise UsageError(
                f'RobustnessProbeHook: 0 <= collapsed < high <= 1, got collapsed={collapsed} and high={high}'
            )
        self.interval = interval
        self.attack = build_attack(PGD10 if attack is None else attack)
        warn_of_unit_range(self.attack)
        self.num_images = num_images
        self.high = high
        self.collapsed = collapsed
        self.stop = stop
        self._batch: Optional[tuple[Pixels, list]] = None

    def before_train(self, runner) -> None:
        name = type(self).__name__
        self._attacking = attacking_hook(runner, name)
        task_of(unwrap(runner.model)).require_class_scores(name, 'leave it out')

    def before_train_epoch(self, runner) -> None:
        # Not earlier: the other hook prepares its models before training.
        self._source = self._attacking.adaptive_source
        self.attack.check_source(self._source)

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self._batch = set_aside(data_batch, self.num_images)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._batch is None:
            return
        (inputs, samples), self._batch = self._batch, None
        model: BaseModel = unwrap(runner.model)
        clean = clean_pixels(model, inputs)
        randomness = Randomness(derive_seed(runner.seed, 'probe', runner.iter, get_rank()))
        # Nothing here should draw from the global state; an attack of somebody else's might.
        with torch.random.fork_rng(devices=()):
            counts = torch.stack(
                [
                    self._count(self._attacking.craft(clean, samples, randomness.derive('training')), samples),
                    self._count(self.attack(self._source, clean, samples, randomness.derive('probe')), samples),
                ]
            )
        all_reduce(counts)
        trained, probed = (right / max(known, 1) for right, known in counts.tolist())
        runner.message_hub.update_scalar('train/accuracy/training_attack', trained)
        runner.message_hub.update_scalar('train/accuracy/probe', probed)
        if trained >= self.high and probed <= self.collapsed:
            self._report(runner, trained, probed)

    @torch.no_grad()
    def _count(self, images: Pixels, samples: list) -> Tensor:
        """How many decisions are right, and how many have a ground truth."""
        source, task = self._source, self._source.task
        with source.undisturbed():
            logits = source.logits(images)
            labels = task.labels(source.prepare_samples(images, samples), logits.device)
        right = task.fit(logits, labels).argmax(1) == labels
        known = torch.ones_like(right) if task.ignore_index is None else labels != task.ignore_index
        return torch.stack([(right & known).sum(), known.sum()])

    def _report(self, runner, trained: float, probed: float) -> None:
        runner.logger.warning(
            f'iteration {runner.iter + 1}: catastrophic overfitting: {trained:.1%} right under the training attack, '
            f'{probed:.1%} under {self.attack.describe()}. Go back to an earlier checkpoint, with NFGSM, more steps or '
            'a lower learning rate'
        )
        if self.stop:
            runner.logger.warning('RobustnessProbeHook(stop=True) ends the training')
            runner.train_loop.stop_training = True
