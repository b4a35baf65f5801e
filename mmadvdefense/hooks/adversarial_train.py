"""Adversarial training of any host model, inside the host's own training loop."""

from __future__ import annotations

import copy
from typing import Optional, Sequence

import torch
from mmengine.dist import get_rank
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..attacks import Attack, AttackSource, Randomness, build_attack, derive_seed
from ..checkpoints import PREPROCESSOR, check_loaded, keep_own, state_dict_of
from ..errors import UsageError
from ..models import unwrap
from ..pipelines import normalizes
from ..pixels import Pixels, check_pixels, joined
from ..purifiers import GeneratorPurifier
from ..randomness import seed_epoch
from ..registry import HOOKS, type_name
from ..threats.checks import check_num_classes, check_scores, warn_of_unit_range
from ..training.model_objective import ModelObjective
from ..training.paired_step import Layer, PairedStep
from ..training.weight_perturbation import WeightPerturbation, kept_buffers
from .attacking import AttackingHook

# Blocks that may be absent from a checkpoint of the plain model: they are initialized as the identity.
DENOISING = 'backbone.denoising.'
# Key of a checkpoint for what loss terms have learned.
_KEY = 'adversarial_objective'
TRAIN_ON = ('adversarial', 'half', 'both')


@HOOKS.register_module()
class AdversarialTrainingHook(AttackingHook):
    """Trains a model on adversarial examples of itself (Madry et al., ICLR 2018; Xie et al., CVPR 2019). Loop,
    optimizer and checkpoints remain the host's, and so does the loss, unless ``losses`` are added or take its place.

    The attack runs the model in eval mode and restores its state, including BatchNorm statistics; the update is in
    train mode, as usual, with all images of a batch in one forward pass, which share the statistics of BatchNorm. The
    random numbers of attack and update depend only on the seed and the iteration.

    Args:
        attack: config of the attack, e.g. ``dict(type='PGD', eps=16, step_size=1, steps=30, targeted='random')``.
        clean_start: share of the batches on which the attack starts from the clean images instead of a random point.
        train_on: ``'adversarial'`` images alone; ``'half'``, where the second half of each batch is attacked; or
            ``'both'``, each image clean and attacked, as one batch of twice the size.
        losses: configs of terms that compare clean and adversarial images (``mmadvdefense.losses``), which need
            ``'both'``. What they know as purified images are these images as the model sees them. Each may name its
            own ``feature_layer``. A term that learns (:class:`~mmadvdefense.losses.LearnedLoss`) is trained with the
            model and saved in its checkpoints.
        task_weight: weight of the host's own loss, with ``'both'`` on each half.
        feature_layer: as for :class:`PurifierTrainHook`; the layer of terms that name none.
        replaced: beginnings of the names of losses of the host that are left out, because a term takes their place.
        weight_perturbation: size of an adversarial perturbation of the weights, in relation to them, for the update
            alone: gamma of AWP (:class:`~mmadvdefense.training.weight_perturbation.WeightPerturbation`), e.g. 0.01; 0
            for none. It climbs the whole training loss of the batch, by one more forward and backward pass.
        weight_warmup: epochs before the weights are perturbed.

    Raises:
        ValueError: for an invalid attack, or a ``clean_start`` or perturbation of weights out of range or without
            effect; before training, for a model with a trainable purifier, or one that does not match its data or
            checkpoint.
    """

    # Set during training only.
    _random_state: Tensor

    def __init__(
        self,
        attack: dict,
        clean_start: float = 0.0,
        train_on: str = 'adversarial',
        losses: Sequence[dict] = (),
        task_weight: float = 1.0,
        feature_layer: Layer = None,
        replaced: Sequence[str] = (),
        weight_perturbation: float = 0.0,
        weight_warmup: int = 0,
    ):
        if train_on not in TRAIN_ON:
            raise UsageError(f'train_on must be one of {", ".join(TRAIN_ON)}, got {train_on!r}')
        if losses and train_on != 'both':
            raise UsageError(
                f"losses compare clean and adversarial images: set train_on='both' instead of {train_on!r}"
            )
        if not task_weight and not losses:
            raise UsageError('task_weight=0 without losses leaves nothing to train on')
        self.train_on = train_on
        self.objective = ModelObjective(losses, task_weight, feature_layer, replaced)
        # Without terms and weights, the host's own training is left as it is.
        self._changes_losses = bool(losses) or train_on == 'both' or task_weight != 1 or bool(replaced)
        self._handles: list = []
        self._optimizer: object = None
        self._step: Optional[PairedStep] = None
        # Whether the next pass of the model is that of the update.
        self._awaits_update = False
        self.attack = build_attack(attack)
        warn_of_unit_range(self.attack)
        if not 0 <= clean_start <= 1:
            raise UsageError(f'clean_start must be a share of the batches, 0 to 1, got {clean_start}')
        if clean_start and not getattr(self.attack, 'random_start', None):
            raise UsageError(
                f'clean_start={clean_start} does nothing: {type_name(attack["type"])} has no random start to replace'
            )
        if weight_warmup and not weight_perturbation:
            raise UsageError(f'weight_warmup={weight_warmup} does nothing without weight_perturbation')
        self.weights = WeightPerturbation(weight_perturbation) if weight_perturbation else None
        self.weight_warmup = weight_warmup
        self.clean_start = clean_start
        self._from_clean = build_attack({**attack, 'random_start': None}) if clean_start else self.attack

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        state = state_dict_of(checkpoint)
        model = unwrap(runner.model)
        # A checkpoint of the model without denoising blocks has no weights for them.
        added = (DENOISING,) if keep_own(model, state, DENOISING) else ()
        check_loaded(runner, state, (*PREPROCESSOR, *added))
        if self.objective.learns and not self.objective.restore(checkpoint.get(_KEY, {})):
            runner.logger.info('the checkpoint has nothing of these loss terms: what they learn starts anew')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self.objective.learns:
            state = self.objective.losses.state_dict()
            checkpoint[_KEY] = {name: value.cpu() for name, value in state.items()}

    def before_run(self, runner) -> None:
        """What terms learn has to be there when a checkpoint is loaded."""
        optimizer = runner.optim_wrapper
        # Tests have none, or still that of the training before.
        if optimizer is None or isinstance(optimizer, dict):
            return
        self._source = AttackSource(unwrap(runner.model), training=True)
        if optimizer is not self._optimizer:
            self._optimizer = optimizer
            self.objective.prepare(self._source.task, self._source.device)
            self.objective.join(optimizer)

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        if isinstance(model.data_preprocessor, GeneratorPurifier):
            raise UsageError(
                f'AdversarialTrainingHook trains {type(model).__name__} itself, which has a trainable purifier in '
                'front of it: remove the purifier, or train it with PurifierTrainHook'
            )
        check_num_classes(model, runner.train_dataloader.dataset)
        # If the pipeline normalises, values outside 0-255 are not due to augmentation.
        self._augmented = not normalizes(runner.train_dataloader.dataset)
        self.attack.check_source(self._source)
        check_scores([self._source], [self.attack], runner.train_dataloader.dataset)
        if self.weights is not None:
            self.weights.attach(runner.optim_wrapper)
            earlier = runner.hooks[: runner.hooks.index(self)]
            # Where no step takes the perturbation back, this hook does, after the iteration.
            if runner.optim_wrapper._accumulative_counts > 1 and any(isinstance(hook, EMAHook) for hook in earlier):
                raise UsageError(
                    'EMAHook would average perturbed weights in iterations that only accumulate gradients: list it '
                    'after AdversarialTrainingHook in custom_hooks'
                )
        if self._changes_losses:
            self._handles = [
                model.register_forward_pre_hook(self._enter_model, with_kwargs=True),
                model.register_forward_hook(self._leave_model, with_kwargs=True, always_call=True),
            ]

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
        # Of an odd batch, one image more is clean in every second iteration.
        clean = (len(samples) + derive_seed(seed, 'half') % 2) // 2 if self.train_on == 'half' else 0
        if self.free is None:
            adversarial = self._attack(seed)(source, images[clean:], samples[clean:], Randomness(seed))
        else:
            adversarial = self.free(images[clean:], samples[clean:], Randomness(seed), share=self.attack_share)
        if self.train_on == 'both':
            data_batch['data_samples'] = [*samples, *copy.deepcopy(list(samples))]
        kept = images if self.train_on == 'both' else images[:clean]
        data_batch['inputs'] = joined(kept, adversarial) if len(kept) else adversarial
        self._prepare_update(images, adversarial, seed)
        if self.weights is not None and runner.epoch >= self.weight_warmup:
            self._perturb(self.weights, model, data_batch)
            # The update has the same random numbers.
            self._prepare_update(images, adversarial, seed)

    def _prepare_update(self, images: Pixels, adversarial: Pixels, seed: int) -> None:
        """Before a pass of the model whose loss is that of training."""
        if self.objective.terms:
            self._step = self.objective.begin(self._source, images, adversarial)
        self._awaits_update = True
        torch.manual_seed(derive_seed(seed, 'update'))

    def _perturb(self, weights: WeightPerturbation, model: BaseModel, data_batch: dict) -> None:
        """Leaves the batch, statistics and what terms learn as they are."""
        inputs = data_batch['inputs']
        images = inputs.detach() if isinstance(inputs, Tensor) else [image.detach() for image in inputs]
        batch = {'inputs': images, 'data_samples': copy.deepcopy(list(data_batch['data_samples']))}

        def loss() -> Tensor:
            return model.parse_losses(model(**model.data_preprocessor(batch, True), mode='loss'))[0]

        with kept_buffers(model, self.objective.losses):
            weights.apply(model, loss)

    # --- around the model's forward -------------------------------------------------------------------------

    def _enter_model(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        if self._step is not None and self._is_update(kwargs):
            self._step.enter_model()

    def _leave_model(self, model: nn.Module, args: tuple, kwargs: dict, output: Optional[dict]) -> Optional[dict]:
        """Weight the host's losses and add the terms."""
        if not self._is_update(kwargs):
            return None
        self._awaits_update = False
        step, self._step = self._step, None
        if output is None:  # PyTorch also calls this after an error
            if step is not None:
                step.abandon_model()
            return None
        if step is not None:
            step.leave_model(kwargs['data_samples'])
        return self.objective.combine(output, step, halves=2 if self.train_on == 'both' else 1)

    def _is_update(self, kwargs: dict) -> bool:
        return self._awaits_update and kwargs.get('mode') == 'loss'

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        torch.set_rng_state(self._random_state)
        if self.weights is not None:
            self.weights.take_back()
        self.objective.share_buffers()

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
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self.weights is not None:
            self.weights.detach()
        del self._source
