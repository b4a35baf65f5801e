"""Trains the purifier inside the host's own training loop."""

from __future__ import annotations

from typing import Optional, Sequence, Union

import torch
from mmengine.dist import get_rank
from mmengine.hooks import EMAHook
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from ..attacks import Attack, AttackSource, CleanReference, Randomness, derive_seed
from ..checkpoints import PREPROCESSOR, check_loaded, keep_own, state_dict_of
from ..errors import UsageError
from ..losses import PurifierLoss
from ..models import unwrap
from ..pipelines import channel_order, normalizes
from ..pixels import Pixels
from ..purifiers import STEP, GeneratorPurifier, PurifierDistributedDataParallel, freeze_target, share_statistics
from ..randomness import seed_epoch
from ..registry import HOOKS, MODELS, in_root_scope
from ..threats.checks import check_discriminator, check_noise, check_num_classes, check_scores
from ..training.step import TrainingStep
from ..training.training_attack import PROTECTED, TARGET, NoAttack, SourceConfig, TrainingAttack
from .attacking import AttackingHook

_SOURCE_OF_THREAT = {'gray-box': TARGET, 'adaptive': PROTECTED}


@HOOKS.register_module()
class PurifierTrainHook(AttackingHook):
    """Crafts the adversarial half of each batch, keeps the target frozen, and adds the alignment terms to its losses.

    Algorithm 1 of Align (arXiv 2212.05387). Runner, loop, optimizer and checkpoints remain the host's.

    Args:
        attack: config of the attack on the target, e.g. ``dict(type='PGD', eps=8, step_size=2, steps=4)``, or several;
            one is drawn for each batch. None with ``train_on='clean'``.
        losses: configs of the terms (``mmadvdefense.losses``).
        task_weight: weight of the host's own loss on each half, clean and adversarial. The host averages over the joint
            batch, so its loss is multiplied by this weight times the number of halves. Its entries are logged as
            ``task_...``.
        feature_layer: layer for the feature terms: ``'pre_logits'`` (paper), ``'logits'`` (released code), the name of
            a layer, or None for the task's default.
        require_checkpoint: refuse to train in front of a target without loaded weights.
        train_on: ``'both'`` halves; ``'adversarial'`` images only: the generator never sees a clean image (HGD); or
            ``'clean'`` images only, without an attack (models of natural images).
        sources: the models that are attacked; one is drawn for each batch. See
            :class:`~mmadvdefense.training.training_attack.TrainingAttack`.
        labels: the labels used by attacks; see the same class.
        threat: the threat model of the training attack, if ``sources`` is not given: ``'gray-box'``, the target without
            its purifier (Align), or ``'adaptive'``, the gradient through purifier and target; or a list of these, such
            as ``['adaptive', 'adaptive', 'gray-box']``, from which one is drawn for each batch.

    Raises:
        ValueError: for an invalid attack, source or loss; before training, for a target that does not match data,
            checkpoint, source or discriminator.
    """

    def __init__(
        self,
        attack: Union[dict, Sequence[dict], None] = None,
        losses: Sequence[dict] = (),
        task_weight: float = 1.0,
        feature_layer: Optional[str] = None,
        require_checkpoint: bool = True,
        train_on: str = 'both',
        sources: Optional[Sequence[SourceConfig]] = None,
        labels: str = 'truth',
        threat: Union[str, Sequence[str]] = 'gray-box',
    ):
        threats = [threat] if isinstance(threat, str) else list(threat)
        if not threats or not set(threats) <= _SOURCE_OF_THREAT.keys():
            raise UsageError(
                f'threat must be one or a list of {", ".join(_SOURCE_OF_THREAT)}, got {threat!r}; '
                'other models are given as sources=[dict(config=..., checkpoint=...)]'
            )
        if sources is None:
            sources = [_SOURCE_OF_THREAT[name] for name in threats]
        elif threats != ['gray-box']:
            raise UsageError("sources already define what is attacked: omit threat, or add 'protected' to the sources")
        if train_on not in ('both', 'adversarial', 'clean'):
            raise UsageError(f"train_on must be 'both', 'adversarial' or 'clean', got {train_on!r}")
        if (attack is None) != (train_on == 'clean'):
            raise UsageError("train_on='clean' goes without an attack, and everything else needs one: attack=dict(...)")
        self.training_attack = NoAttack() if attack is None else TrainingAttack(attack, sources, labels)
        self.train_on = train_on
        self._terms: list[PurifierLoss] = [MODELS.build(in_root_scope(loss)) for loss in losses]
        self.losses = nn.ModuleList(self._terms)
        self.task_weight = task_weight
        self.feature_layer = feature_layer
        self.require_checkpoint = require_checkpoint
        self._checkpoint_loaded = False
        self._handles: list = []
        # The step of the batch in the target's current forward pass.
        self._step: Optional[TrainingStep] = None

    @property
    def attacks(self) -> list[Attack]:
        return self.training_attack.attacks

    @property
    def attack(self) -> Attack:
        """The attack, or the first of several; there is none with ``train_on='clean'``."""
        return self.attacks[0]

    @property
    def is_training(self) -> bool:
        """Whether training is in progress."""
        return bool(self._handles)

    # --- set-up ---------------------------------------------------------------------------------------------

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        model = unwrap(runner.model)
        state = state_dict_of(checkpoint)
        check_loaded(runner, state)
        # The target's own checkpoint contains no purifier.
        keep_own(model, state, PREPROCESSOR)
        self._checkpoint_loaded = True

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        purifier = _trained_purifier(model)
        if is_model_wrapper(runner.model) and not isinstance(runner.model, PurifierDistributedDataParallel):
            raise UsageError(
                f'{type(runner.model).__name__} would wait for the frozen target; '
                "set model_wrapper_cfg=dict(type='PurifierDistributedDataParallel')"
            )
        if self.require_checkpoint and not self._checkpoint_loaded:
            raise UsageError(
                'the target model has random weights: set load_from to its checkpoint '
                '(or PurifierTrainHook(require_checkpoint=False) if its weights come from elsewhere)'
            )
        needs_discriminator = any(term.needs_discriminator for term in self._terms)
        discriminator = getattr(purifier, 'discriminator', None)
        if needs_discriminator and discriminator is None:
            raise UsageError(
                'the objective has a GAN or feature-matching term, but the purifier has no discriminator: '
                "set AlignPurifier(discriminator=dict(type='MultiscaleDiscriminator'))"
            )
        check_num_classes(model, runner.train_dataloader.dataset)
        check_noise(purifier, self.training_attack.attacks)
        freeze_target(model)
        dataset = runner.train_dataloader.dataset
        self._source = AttackSource(
            model, training=True, channel_order=channel_order(dataset) or purifier.channel_order
        )
        check_discriminator(discriminator, getattr(purifier, 'condition_on_labels', False), self._source.task)
        # If the pipeline normalizes, values outside 0-255 are not due to augmentation.
        self._augmented = not normalizes(dataset)
        self._tap = self._source.task.feature_tap(self.feature_layer)
        self.training_attack.prepare(self._source)
        check_scores(self.training_attack.all_sources, self.training_attack.attacks, dataset)
        self._prepare_losses(purifier)
        purifier.load_pretrained()
        self._handles = [
            model.register_forward_pre_hook(self._enter_target, with_kwargs=True),
            model.register_forward_hook(self._leave_target, with_kwargs=True, always_call=True),
        ]

    def _prepare_losses(self, purifier: GeneratorPurifier) -> None:
        """Pass facts about the model to the terms."""
        # Otherwise a term would read the number of classes from the device in every iteration.
        task, order = self._source.task, purifier.channel_order
        facts = {'num_classes': task.num_classes, 'channel_order': order, 'exclusive': task.exclusive_classes}
        for term in self._terms:
            for name, value in facts.items():
                if getattr(term, name, value) is None:
                    setattr(term, name, value)
        self.losses.to(purifier.device).train()

    def after_train(self, runner) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.training_attack.release()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Store the number of updates with averaged weights, which are saved in place of the model's own."""
        count = _trained_purifier(unwrap(runner.model)).num_updates
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                # The averaged model does not count updates. This tensor itself is saved, whichever hook runs first.
                _trained_purifier(unwrap(hook.ema_model)).num_updates.copy_(count)

    # --- every epoch and iteration --------------------------------------------------------------------------

    def before_train_epoch(self, runner) -> None:
        # Augmentation draws from the global state; seeding it per epoch makes a resumed run match an uninterrupted one.
        seed_epoch(runner)

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        model = unwrap(runner.model)
        purifier = _trained_purifier(model)
        # Repeated, because the runner calls model.train().
        freeze_target(model)
        for module in self._source.task.loss_modules():
            module.training = True
        samples = data_batch['data_samples']
        self._source.task.check_samples(samples)
        clean = purifier.load_pixels(data_batch['inputs'], samples, self._augmented)
        randomness = Randomness(derive_seed(runner.seed, 'train', runner.iter, get_rank()))
        step = data_batch[STEP] = self._begin_step(purifier, clean, samples, randomness)
        step.iteration = runner.iter
        # Before the update, because averaged weights start as a copy of the model made right after it.
        purifier.num_updates += 1

    def _begin_step(
        self, purifier: GeneratorPurifier, clean: Pixels, data_samples: Sequence, randomness: Randomness
    ) -> TrainingStep:
        reference, attack = CleanReference(self._source, clean, self._tap), self.free or self.training_attack
        attacked = self.train_on != 'clean'
        return TrainingStep(
            clean,
            attack(clean, data_samples, randomness, reference, self.attack_share) if attacked else None,
            reference,
            self._tap,
            self._source.task,
            purifies_clean=self.train_on != 'adversarial',
            discriminator=getattr(purifier, 'discriminator', None),
            condition_on_labels=getattr(purifier, 'condition_on_labels', False),
            randomness=randomness.derive('purifier'),
        )

    def craft(self, clean: Pixels, data_samples: Sequence, randomness: Randomness) -> Pixels:
        return self.training_attack(clean, data_samples, randomness, share=self.attack_share)

    @torch.no_grad()
    def losses_of(self, model: nn.Module, inputs: Pixels, data_samples: Sequence, randomness: Randomness) -> dict:
        """The loss terms of a batch outside training, with the purifier in its current mode.

        Args:
            model: the model being trained.
            inputs: images as the data loader returns them.
            data_samples: the images' data samples, with ground truth in the input frame; may be modified.
            randomness: random numbers of the attack.
        """
        purifier = _trained_purifier(model)
        clean = purifier.load_pixels(inputs, data_samples)
        step = self._begin_step(purifier, clean, data_samples, randomness)
        with self._source.as_in_losses():
            batch = purifier({'inputs': inputs, 'data_samples': data_samples, STEP: step}, training=True)
            return model(**batch, mode='loss')

    def after_train_epoch(self, runner) -> None:
        share_statistics(unwrap(runner.model))

    def before_val_epoch(self, runner) -> None:
        share_statistics(unwrap(runner.model))

    # --- around the target's forward ------------------------------------------------------------------------

    def _enter_target(self, model: nn.Module, args: tuple, kwargs: dict) -> Optional[tuple[tuple, dict]]:
        """Remove the step, which the host does not expect, from the target's arguments."""
        if STEP not in kwargs:
            return None
        self._step = kwargs[STEP]
        self._step.enter_target()
        return args, {name: value for name, value in kwargs.items() if name != STEP}

    def _leave_target(self, model: nn.Module, args: tuple, kwargs: dict, output: Optional[dict]) -> Optional[dict]:
        """Add the loss terms to the host's losses."""
        if self._step is None or kwargs.get('mode') != 'loss':
            return None
        step, self._step = self._step, None
        if output is None:  # PyTorch also calls this after an error
            step.abandon_target()
            return None
        step.leave_target(kwargs['data_samples'], output)
        terms = self._task_terms(output)
        for term in self._terms:
            new = term.terms(step)
            if new.keys() & terms.keys():
                raise UsageError(f'duplicate names of loss terms: {", ".join(new.keys() & terms.keys())}')
            terms.update(new)
        return terms

    def _task_terms(self, losses: dict) -> dict:
        terms = {}
        for name, value in losses.items():
            if 'loss' not in name:
                terms[f'task_{name}'] = value
            elif self.task_weight:
                weight = self.task_weight * (2 if self.train_on == 'both' else 1)
                scaled = value * weight if isinstance(value, Tensor) else [item * weight for item in value]
                terms[f'task_{name}'] = scaled
        return terms


def _trained_purifier(model: nn.Module) -> GeneratorPurifier:
    purifier = model.data_preprocessor
    if not isinstance(purifier, GeneratorPurifier):
        raise UsageError(
            f'PurifierTrainHook found {type(purifier).__name__} in front of {type(model).__name__}; '
            "set data_preprocessor=dict(type='AlignPurifier')"
        )
    return purifier
