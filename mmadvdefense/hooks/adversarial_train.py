"""Adversarial training of any host model, inside the host's own training loop."""

from __future__ import annotations

from typing import Sequence

import torch
from mmengine.dist import get_rank
from mmengine.model import BaseModel
from torch import Tensor

from ..attacks import Attack, AttackSource, Randomness, build_attack, derive_seed
from ..checkpoints import PREPROCESSOR, check_state_dict, keep_own, state_dict_of
from ..errors import UsageError
from ..models import unwrap
from ..pipelines import normalizes
from ..pixels import Pixels, check_pixels
from ..purifiers import GeneratorPurifier
from ..randomness import seed_epoch
from ..registry import HOOKS, type_name
from ..threats.checks import check_num_classes, check_scores, warn_of_unit_range
from .attacking import AttackingHook

# Blocks that may be absent from a checkpoint of the plain model: they are initialized as the identity.
DENOISING = 'backbone.denoising.'


@HOOKS.register_module()
class AdversarialTrainingHook(AttackingHook):
    """Replaces the images of each training batch with adversarial examples of the current model (Madry et al., ICLR
    2018; Xie et al., CVPR 2019). Loss, loop, optimizer and checkpoints remain the host's.

    The attack runs the model in eval mode and restores its state, including BatchNorm statistics; the update is in
    train mode, as usual. The random numbers of attack and update depend only on the seed and the iteration.

    Args:
        attack: config of the attack, e.g. ``dict(type='PGD', eps=16, step_size=1, steps=30, targeted='random')``.
        clean_start: share of the batches on which the attack starts from the clean images instead of a random point.

    Raises:
        ValueError: for an invalid attack, or a ``clean_start`` out of range or without effect; before training, for a
            model with a trainable purifier, or one that does not match its data or checkpoint.
    """

    # Set during training only.
    _random_state: Tensor

    def __init__(self, attack: dict, clean_start: float = 0.0):
        self.attack = build_attack(attack)
        warn_of_unit_range(self.attack)
        if not 0 <= clean_start <= 1:
            raise UsageError(f'clean_start must be a share of the batches, 0 to 1, got {clean_start}')
        if clean_start and not getattr(self.attack, 'random_start', None):
            raise UsageError(
                f'clean_start={clean_start} does nothing: {type_name(attack["type"])} has no random start to replace'
            )
        self.clean_start = clean_start
        self._from_clean = build_attack({**attack, 'random_start': None}) if clean_start else self.attack

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        state = state_dict_of(checkpoint)
        model = unwrap(runner.model)
        # A checkpoint of the model without denoising blocks has no weights for them.
        added = (DENOISING,) if keep_own(model, state, DENOISING) else ()
        runner.logger.info(str(check_state_dict(model, state, ignore=(*PREPROCESSOR, *added))))

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        if isinstance(model.data_preprocessor, GeneratorPurifier):
            raise UsageError(
                f'AdversarialTrainingHook trains {type(model).__name__} itself, which has a trainable purifier in '
                'front of it: remove the purifier, or train it with PurifierTrainHook'
            )
        check_num_classes(model, runner.train_dataloader.dataset)
        self._source = AttackSource(model, training=True)
        # If the pipeline normalises, values outside 0-255 are not due to augmentation.
        self._augmented = not normalizes(runner.train_dataloader.dataset)
        self.attack.check_source(self._source)
        check_scores([self._source], [self.attack], runner.train_dataloader.dataset)

    def before_train_epoch(self, runner) -> None:
        seed_epoch(runner)

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        samples, source = data_batch['data_samples'], self._source
        source.task.check_samples(samples)
        # Checked before the copy to the device, to avoid synchronizing with it; 8-bit images need no check.
        names = [sample.get('img_path') or f'image {index} of the batch' for index, sample in enumerate(samples)]
        check_pixels(data_batch['inputs'], names, self._augmented)
        model: BaseModel = unwrap(runner.model)
        inputs = model.data_preprocessor.cast_data(data_batch['inputs'])
        images = inputs.float() if isinstance(inputs, Tensor) else [image.float() for image in inputs]
        seed = derive_seed(runner.seed, 'adversarial', runner.iter, get_rank())
        # Dropout and the losses of some hosts draw from the global state, as does the augmentation of the next batch,
        # for which a resumed run must find the same state.
        self._random_state = torch.get_rng_state()
        torch.manual_seed(seed)
        if self.free is None:
            data_batch['inputs'] = self._attack(seed)(source, images, samples, Randomness(seed))
        else:
            data_batch['inputs'] = self.free(images, samples, Randomness(seed), share=self.attack_share)
        torch.manual_seed(derive_seed(seed, 'update'))

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        torch.set_rng_state(self._random_state)

    @property
    def attacks(self) -> list[Attack]:
        return [self.attack, self._from_clean]

    def craft(self, clean: Pixels, data_samples: Sequence, randomness: Randomness) -> Pixels:
        return self._attack(randomness.choice(2**62))(self._source, clean, data_samples, randomness)

    def _attack(self, seed: int) -> Attack:
        """The attack on the batch with this seed."""
        attack = self._from_clean if self.starts_clean(seed) else self.attack
        return attack if self.attack_share == 1 else attack.scaled(self.attack_share)

    def starts_clean(self, seed: int) -> bool:
        """Whether the attack on the batch with this seed starts from the clean images."""
        return derive_seed(seed, 'start') < self.clean_start * 2**63

    def after_train(self, runner) -> None:
        del self._source
