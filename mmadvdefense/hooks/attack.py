"""Attacks validation or test batches, and measures the actual perturbation."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional, Sequence, Union

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..attacks import Attack, AttackSource, Candidate, WorstOf, attack_settings, build_attack, num_target_classes
from ..attacks.balls import AREA
from ..checkpoints import PREPROCESSOR, check_loaded, keep_own, state_dict_of
from ..errors import UnsupportedAttackError, UsageError
from ..models import preprocessor_of, unwrap
from ..pipelines import channel_order
from ..pixels import Pixels, check_channels, check_pixels, stack
from ..purifiers import Purifier
from ..randomness import derive_seed, image_identity, image_names
from ..registry import HOOKS
from ..tasks import NotScored, SampleScores, annotations_in_input_frame, check_frame, ignored_are_crowds, task_of
from ..threats.cache import AdversarialCache
from ..threats.checks import check_num_classes, check_one_view, warn_of_unit_range
from ..threats.crafter import Crafter
from ..threats.measurements import AttackedBatch, Measurements, summary
from ..threats.source_scores import clean_scores, source_names
from ..threats.sources import enabled_purifier, fitting_source
from ..threats.threat_model import Source, ThreatModel
from ..threats.worst_case import CHOICES, Choice, craft_worst, lowest_score, scores_in_test


@HOOKS.register_module()
class AttackHook(Hook):
    """Replaces the images of each validation or test batch with adversarial ones, before the purifier sees them.

    Adds to the epoch's metrics ``perturbation/linf_mean``, ``linf_max``, ``l2_mean`` and ``l2_max`` (pixels), measured
    on every image, and ``purified/psnr`` (dB, of the image that the model sees against the clean one: the mean over the
    images where they differ, infinite if none do). Attacks add ``attack/queries_mean``, ``queries_max`` and
    ``attack/nonfinite_images``, the number of images on which gradients (or scores) were NaN or infinite and were
    replaced; these may be less robust than they appear. Attacks whose budget is an area add ``perturbation/area_mean``
    and ``area_max``, the share (0 to 1) of an image's pixels that changed. With ``score_samples``, transfer attacks
    also report ``source/<config>``, the mean score (per cent) of the source itself on the clean images.

    Images from the data loader are checked in main memory, before they are copied to the device; 8-bit images need no
    check.

    Args:
        attack: config of the attack; None only measures the clean images. With a
            :class:`~mmadvdefense.attacks.WorstOf`, all its attacks run on each image, and the one that is worst for the
            tested model counts.
        source: None to attack the target itself (gray-box on O), or ``dict(config=..., checkpoint=...)`` of another
            model (transfer), or a list of those (an ensemble); ``trust=True`` allows loading a checkpoint that contains
            more than data.
        threat_model: the attacker's knowledge and access: a name in :data:`mmadvdefense.threats.THREAT_MODELS`, or a
            dict with this ``name`` and further settings of :class:`~mmadvdefense.threats.ThreatModel`; by default
            ``'transfer'`` with a source and ``'gray-box'`` without one.
        seed: seed of random starts and targets; an image's random numbers depend only on the seed and the image's name.
        quantize: round adversarial images to integers, as saving them to a file would.
        cache_dir: folder in which adversarial images are cached, to be reused if they were made with the same settings,
            whatever the batch size and the number of processes.
        stages: the loops in which to attack: ``'val'``, ``'test'`` or both.
        score_samples: whether to record a score for each image in :attr:`samples`.

    Attributes:
        samples: after an epoch, on the first process: columns of the same length, one row per image: ``image``,
            ``linf``, ``l2``, ``psnr``; ``area`` if that is the budget; with an attack ``queries``, ``nonfinite``, and
            ``rise`` if it is known of any image (:class:`~mmadvdefense.attacks.AttackResult`); and with
            ``score_samples`` the columns of :class:`~mmadvdefense.tasks.SampleScores`, ``score``, ``correct``,
            ``decision`` and of classifiers ``label``, None for images without ground truth, and ``source/<config>``.
        unscored: the reason why images could not be scored individually; None if they could.
        crafting: whether the attack is running, so that an error can be attributed to it.
        batch: the images of the current batch: clean, adversarial and purified.

    Raises:
        UsageError: for an invalid attack or threat model, a source whose classes differ from the target's, or images
            that are not raw pixels.
        UnsupportedAttackError: for an attack that is meaningless under the threat model or against this purifier, or if
            annotations cannot be mapped to the frame of the transformed image.
        FileNotFoundError: if the source's checkpoint is missing.
    """

    def __init__(
        self,
        attack: Optional[dict],
        source: Optional[Source] = None,
        threat_model: Optional[Union[str, dict, ThreatModel]] = None,
        seed: int = 0,
        quantize: bool = False,
        cache_dir: Optional[Union[str, Path]] = None,
        stages: tuple = ('val', 'test'),
        score_samples: bool = False,
    ):
        self.threat_model = ThreatModel.parse(threat_model, source)
        self.attack: Optional[Attack] = build_attack(attack) if attack else None
        self.attack_config: dict[str, Any] = attack_settings(attack) if attack else {}
        if self.attack is not None:
            self.threat_model.check_attack(self.attack)
            warn_of_unit_range(self.attack)
        self.seed = seed
        self.quantize = quantize
        self.cache = AdversarialCache(cache_dir) if cache_dir else None
        self.stages = stages
        self.score_samples = score_samples
        self.samples: Optional[dict[str, list]] = None
        self.unscored: Optional[str] = None
        self.crafting = False
        self.batch: Optional[AttackedBatch] = None
        self._crafters: list[Crafter] = []
        self._choice: Choice = lowest_score
        self._handle: Optional[RemovableHandle] = None
        self._purifier: Optional[Purifier] = None

    # --- set-up ---------------------------------------------------------------------------------------------

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not self.stages:
            return
        model, state = unwrap(runner.model), state_dict_of(checkpoint)
        check_loaded(runner, state)
        # The target's own checkpoint contains no purifier, which may come from an export.
        keep_own(model, state, PREPROCESSOR)

    def before_train(self, runner) -> None:
        if self.attack is not None and 'val' in self.stages:
            # Fail now rather than at the first validation if the attack does not fit the model.
            fitting_source(self.attack, self.threat_model, unwrap(runner.model))

    def _begin(self, runner, dataset) -> None:
        check_one_view(runner.model)
        target = unwrap(runner.model)
        check_num_classes(target, dataset)
        self._task = task_of(target)
        self._annotations_in_input_frame = annotations_in_input_frame(dataset)
        self._ignored_are_crowds = ignored_are_crowds(dataset)
        self._crafters = [] if self.attack is None else self._make_crafters(self.attack, target, dataset)
        self._count = 0
        self.unscored, self.crafting = None, False
        self._measurements = Measurements()
        preprocessor = preprocessor_of(target)
        if isinstance(preprocessor, Purifier):
            # This hook checks the loader's images itself; adversarial images may be fractional.
            self._purifier, preprocessor.checks_pixels = preprocessor, False
        native = getattr(preprocessor, 'native', preprocessor)
        self._handle = native.register_forward_pre_hook(self._note_purified)

    def _make_crafters(self, attack: Attack, target: nn.Module, dataset) -> list[Crafter]:
        """One crafter per attack; for several, the worst case counts."""
        source = fitting_source(attack, self.threat_model, target, channel_order(dataset))
        try:
            if self._task.dense:
                check_frame(dataset)
            if isinstance(attack, WorstOf) and attack.worst_by != 'score':
                self._task.require_pixel_classes(f'worst_by={attack.worst_by!r}', 'leave it out')
        except UsageError as error:
            raise UnsupportedAttackError(str(error)) from error
        attacks = [Candidate(attack, self.attack_config)]
        if isinstance(attack, WorstOf):
            attacks = attack.candidates(num_target_classes(source.task))
            self._choice = CHOICES[attack.worst_by]()
        purifier = enabled_purifier(target) if self.threat_model.knows_defense else None
        crafters = []
        for part, config, restart, _ in attacks:
            seed = derive_seed(self.seed, 'restart', restart) if restart else self.seed
            crafters.append(Crafter(part, source, config, self.threat_model, purifier, seed, self.quantize, self.cache))
        return crafters

    def _note_purified(self, module: nn.Module, args: tuple) -> None:
        # Adaptive attacks run the purifier, too; the last call is that of the test itself.
        if self.batch is not None:
            self.batch.purified = args[0]['inputs']

    # --- every batch ----------------------------------------------------------------------------------------

    def _perturb(self, runner, data_batch: dict, loop) -> None:
        samples = data_batch['data_samples']
        preprocessor = preprocessor_of(unwrap(runner.model))
        identities = image_names(data_batch['inputs'], samples)
        names = [self._shown_name(position, sample) for position, sample in enumerate(samples)]
        check_channels(data_batch['inputs'], names)
        check_pixels(data_batch['inputs'], names)
        inputs = preprocessor.cast_data(data_batch['inputs'])
        clean = inputs.float() if isinstance(inputs, Tensor) else [image.float() for image in inputs]
        stacked, layout = stack(clean)
        self.batch = AttackedBatch(names, layout, clean=stacked, adversarial=stacked)
        if self._crafters:
            self.crafting = True
            source = self._crafters[0].source
            prepared = source.task.in_input_frame(samples, self._annotations_in_input_frame)
            tested = (unwrap(runner.model), self._task, samples, self._annotations_in_input_frame)
            score = partial(scores_in_test, *tested, self._ignored_are_crowds, loop.fp16)
            source_scores = self._score_sources(source, clean, samples)
            crafted = craft_worst(self._crafters, score, clean, prepared, identities, source_scores, self._choice)
            self.crafting = False
            self.batch.queries, self.batch.nonfinite, self.batch.rise = crafted.queries, crafted.nonfinite, crafted.rise
            self.batch.by_area = self._crafters[0].attack.norm == AREA
            self.batch.adversarial = stack(crafted.images)[0]
            if crafted.source_scores is not None:
                self.batch.source_scores = dict(zip(source_names(self.threat_model), crafted.source_scores))
            data_batch['inputs'] = crafted.images

    def _score_sources(self, source: AttackSource, clean: Pixels, samples: Sequence) -> Optional[Callable[[], Tensor]]:
        members = getattr(source, 'sources', [source])
        # The source of a feature attack may have other classes and cannot be scored on these images.
        same = all(
            self._task.is_like(member.task) and self._task.num_classes == member.task.num_classes for member in members
        )
        if not (self.score_samples and self.threat_model.sources and same):
            return None
        return partial(clean_scores, source, clean, samples, self._annotations_in_input_frame)

    def _shown_name(self, position: int, sample) -> str:
        """The name of an image in messages and tables: its file, or its index in the data set."""
        # MMEngine's sampler assigns images to the ranks in round-robin order.
        place = (self._count + position) * get_world_size() + get_rank()
        return str(sample.get('img_path') or image_identity(sample) or place)

    def _measure(self, outputs: Sequence) -> None:
        if self.batch is None:
            raise RuntimeError('AttackHook has no attacked batch to measure: its before-iteration stage did not run')
        columns = self.batch.measure()
        if self.score_samples:
            columns.update(self._score(outputs).columns())
        self._measurements.add(self.batch.names, columns)
        self._count += len(self.batch.names)

    def _score(self, outputs: Sequence) -> SampleScores:
        try:
            return self._task.score_samples(outputs, self._annotations_in_input_frame, self._ignored_are_crowds)
        except NotScored as error:
            # The host's metric does not need these scores.
            self.unscored = str(error)
            return SampleScores.unknown(len(outputs))

    def _finish(self, metrics: Optional[dict], size: int) -> None:
        self.close()
        self.samples = self._measurements.gather(size)
        if self.samples is not None and metrics is not None:
            metrics.update(summary(self.samples))

    def close(self) -> None:
        """Release source and model; to be called if an epoch ends early."""
        self._crafters, self.batch = [], None
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        if self._purifier is not None:
            self._purifier.checks_pixels, self._purifier = True, None

    # --- the runner's stages --------------------------------------------------------------------------------

    def before_val_epoch(self, runner) -> None:
        if 'val' in self.stages:
            self._begin(runner, runner.val_dataloader.dataset)

    def before_test_epoch(self, runner) -> None:
        if 'test' in self.stages:
            self._begin(runner, runner.test_dataloader.dataset)

    def before_val_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        if 'val' in self.stages and data_batch is not None:
            self._perturb(runner, data_batch, runner.val_loop)

    def before_test_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        if 'test' in self.stages and data_batch is not None:
            self._perturb(runner, data_batch, runner.test_loop)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if 'val' in self.stages:
            self._measure(outputs)

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if 'test' in self.stages:
            self._measure(outputs)

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        if 'val' in self.stages:
            self._finish(metrics, len(runner.val_dataloader.dataset))

    def after_test_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        if 'test' in self.stages:
            self._finish(metrics, len(runner.test_dataloader.dataset))
