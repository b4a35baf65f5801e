"""Adversarial training of any host model, inside the host's own training loop."""

from __future__ import annotations

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import Tensor

from ..attacks import AttackSource, Randomness, build_attack, derive_seed
from ..checkpoints import PREPROCESSOR, check_state_dict, keep_own, state_dict_of
from ..errors import UsageError
from ..models import unwrap
from ..pipelines import normalizes
from ..pixels import check_pixels
from ..purifiers import GeneratorPurifier
from ..randomness import seed_epoch
from ..registry import HOOKS, type_name
from ..threats.checks import check_num_classes, check_scores, warn_of_unit_range

# Blocks that a checkpoint of the plain model need not have: they start as the identity.
DENOISING = 'backbone.denoising.'


@HOOKS.register_module()
class AdversarialTrainingHook(Hook):
    """Replaces the images of each training batch by adversarial ones of the model as it is then (Madry et al., ICLR
    2018; Xie et al., CVPR 2019). The loss, the loop, the optimizer and the checkpoints stay the host's.

    The attack sees the model in eval mode and leaves it as it was, BatchNorm statistics included; the update is in
    train mode, as ever. What attack and update draw at random depends on the seed and the iteration alone.

    Args:
        attack: config of the attack, e.g. ``dict(type='PGD', eps=16, step_size=1, steps=30, targeted='random')``.
        clean_start: share of the batches on which the attack starts from the clean images and not at random.

    Raises:
        ValueError: for a bad attack, or a ``clean_start`` that is no share or changes nothing; before training, for a
            model that is not the one to train, or does not fit its data or checkpoint.
    """

    # Known during training.
    _source: AttackSource
    _random_state: Tensor

    def __init__(self, attack: dict, clean_start: float = 0.0):
        self.attack = build_attack(attack)
        warn_of_unit_range(self.attack)
        if not 0 <= clean_start <= 1:
            raise UsageError(f'clean_start is a share of the batches, 0 to 1, got {clean_start}')
        if clean_start and not getattr(self.attack, 'random_start', None):
            raise UsageError(
                f'clean_start={clean_start} does nothing: {type_name(attack["type"])} has no random start to replace'
            )
        self.clean_start = clean_start
        self._from_clean = build_attack({**attack, 'random_start': None}) if clean_start else self.attack

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        state = state_dict_of(checkpoint)
        model = unwrap(runner.model)
        # A checkpoint from before the denoising blocks were put in has none.
        added = (DENOISING,) if keep_own(model, state, DENOISING) else ()
        runner.logger.info(str(check_state_dict(model, state, ignore=(*PREPROCESSOR, *added))))

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        if isinstance(model.data_preprocessor, GeneratorPurifier):
            raise UsageError(
                f'AdversarialTrainingHook trains {type(model).__name__} itself, which has a purifier to be trained in '
                'front of it: take the purifier out, or train it with PurifierTrainHook'
            )
        check_num_classes(model, runner.train_dataloader.dataset)
        self._source = AttackSource(model, training=True)
        # Normalised images are no augmented pixels.
        self._augmented = not normalizes(runner.train_dataloader.dataset)
        self.attack.check_source(self._source)
        check_scores([self._source], [self.attack], runner.train_dataloader.dataset)

    def before_train_epoch(self, runner) -> None:
        seed_epoch(runner)

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        samples, source = data_batch['data_samples'], self._source
        source.task.check_samples(samples)
        # Before they are copied to the device, which is then not waited for; bytes are not looked at.
        names = [sample.get('img_path') or f'image {index} of the batch' for index, sample in enumerate(samples)]
        check_pixels(data_batch['inputs'], names, self._augmented)
        model: BaseModel = unwrap(runner.model)
        inputs = model.data_preprocessor.cast_data(data_batch['inputs'])
        images = inputs.float() if isinstance(inputs, Tensor) else [image.float() for image in inputs]
        seed = derive_seed(runner.seed, 'adversarial', runner.iter, get_rank())
        # Dropout, and the losses of some hosts, draw from global state, as the augmentation of the next batch does,
        # which a resumed run must meet in the same state.
        self._random_state = torch.get_rng_state()
        torch.manual_seed(seed)
        attack = self._from_clean if self.starts_clean(seed) else self.attack
        data_batch['inputs'] = attack(source, images, samples, Randomness(seed))
        torch.manual_seed(derive_seed(seed, 'update'))

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        torch.set_rng_state(self._random_state)

    def starts_clean(self, seed: int) -> bool:
        """Whether the attack on the batch of this seed starts from the clean images."""
        return derive_seed(seed, 'start') < self.clean_start * 2**63

    def after_train(self, runner) -> None:
        del self._source
