"""The purifier's objective on validation batches, for selecting a checkpoint."""

from __future__ import annotations

import copy

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import Tensor

from ..attacks import Randomness, derive_seed
from ..errors import UsageError
from ..models import unwrap
from ..registry import HOOKS
from ..tasks import annotations_in_input_frame, task_of
from .purifier_train import PurifierTrainHook


@HOOKS.register_module()
class PurifierValLossHook(Hook):
    """Adds ``purifier/loss`` and its terms to the metrics of a validation epoch.

    Validation batches are attacked in the same way as :class:`PurifierTrainHook` attacks training batches, with the
    same random numbers in every epoch, and the loss is computed in eval mode. With
    ``default_hooks=dict(checkpoint=dict(save_best= 'purifier/loss', rule='less'))`` the checkpoint with the lowest
    validation loss is kept, which is what HGD evaluates (Liao et al., CVPR 2018, section 4.2). With GAN terms, the sum
    includes the losses of both players and is no guide to the best checkpoint.

    Raises:
        ValueError: unless exactly one :class:`PurifierTrainHook` is training.
    """

    # Runs before an AttackHook, which replaces the images.
    priority = 'ABOVE_NORMAL'

    def before_val_epoch(self, runner) -> None:
        found = [hook for hook in runner.hooks if isinstance(hook, PurifierTrainHook)]
        if len(found) != 1 or not found[0].is_training:
            raise UsageError(
                'PurifierValLossHook measures the loss of one PurifierTrainHook while it trains; add one to '
                'custom_hooks, and leave this hook out of a validation without training'
            )
        self._training = found[0]
        self._in_input_frame = annotations_in_input_frame(runner.val_dataloader.dataset)
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def before_val_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        model: BaseModel = unwrap(runner.model)
        randomness = Randomness(derive_seed(runner.seed, 'val', batch_idx, get_rank()))
        # A copy, because native preprocessors modify the samples and the test that follows needs them intact.
        samples = copy.deepcopy(data_batch['data_samples'])
        samples = task_of(model).in_input_frame(samples, self._in_input_frame)
        terms = self._training.losses_of(model, data_batch['inputs'], samples, randomness)
        _, values = model.parse_losses(terms)
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0) + value * len(samples)
        self._count += len(samples)

    def after_val_epoch(self, runner, metrics: dict) -> None:
        sums = torch.stack(list(self._sums.values()))
        sums = torch.cat([sums, sums.new_tensor([self._count])])
        all_reduce(sums)
        *totals, count = sums.tolist()
        metrics.update({f'purifier/{name}': total / count for name, total in zip(self._sums, totals)})
        del self._training
