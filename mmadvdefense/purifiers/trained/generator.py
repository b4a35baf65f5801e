"""Purifiers with a trained network: working size, training batches, and loading of exports."""

from __future__ import annotations

import copy
import logging
from typing import Any, ClassVar, Optional, Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ...checkpoints import CheckpointMismatch, compare_state_dict, load_part
from ...errors import StateError, UsageError
from ...hosts import host_of_class
from ...pixels import Layout, Pixels, joined, pad_to_multiple, resize, stack, to_pixels, to_unit_range
from ...registry import MODELS, named_types
from ...zoo import SCHEME, zoo_entry
from ..base import Purifier
from .export import load_purifier_export
from .step import STEP, PurifiedImages, PurifierStep
from .tiles import Tiles

DEFAULT_GENERATOR = dict(type='DUNet', widths=(24, 48, 96), encoder_units=(2, 2, 2), decoder_units=(2, 2))


class GeneratorPurifier(Purifier):
    """A purifier with a network ``G`` that maps images in [-1, 1] to images in [-1, 1].

    Args:
        generator: config of the network; by default :attr:`default_generator`, or the exported network of ``init_cfg``.
        working_size: ``(H, W)`` to which images are resized for ``G``; the output is resized back. None keeps the
            original size; images of different sizes are then run size by size, so that no image depends on its
            neighbours.
        tile_size: ``(H, W)`` of the crops on which ``G`` is trained. Larger images are cleaned in overlapping tiles of
            this size, each at ``working_size``, so that ``G`` sees them at training scale; smaller ones are padded to
            it by repeating their edge. None disables tiling.
        tile_overlap: minimum overlap of neighbouring tiles as a share of their side, in [0, 1).
        tile_batch_size: number of tiles run at once, to limit memory; the result does not depend on it.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, a file written by ``tools/export_purifier.py``, or
            ``'zoo://NAME'`` for one that comes with this package. It is loaded immediately, because testing and
            inference never call ``init_weights``.
        kwargs: of :class:`Purifier` and the native preprocessor.

    Attributes:
        default_generator: config of the network if none is given; a small residual U-Net unless a subclass has its own.
        recipe: the default recipe, which completes configs that name this purifier and nothing else: the method in
            ``configs/_base_/defenses/METHOD_default_{cls,seg,det}.py``, or the path of a config (``*.py``).
        trained_on_clean: whether it is a model of clean images, which is trained on nothing else.

    Raises:
        ValueError: if the exported network differs from ``generator``, or is not for models of this task; for an
            invalid tiling.
    """

    default_generator: ClassVar[dict[str, Any]] = DEFAULT_GENERATOR
    recipe: ClassVar[str] = 'align'
    trained_on_clean: ClassVar[bool] = False

    generator: nn.Module
    num_updates: Tensor

    def __init__(
        self,
        generator: Optional[dict] = None,
        working_size: Optional[Sequence[int]] = None,
        init_cfg: Optional[dict] = None,
        tile_size: Optional[Sequence[int]] = None,
        tile_overlap: float = 1 / 3,
        tile_batch_size: int = 8,
        **kwargs,
    ):
        super().__init__(**kwargs)
        export = None
        if init_cfg is not None:
            export = load_purifier_export(init_cfg['checkpoint'])
            generator = generator or export['generator']
            working_size = working_size or export['working_size']
            tile_size = tile_size or export.get('tile_size')
        # Types by name, since exports hold plain data only.
        self.generator_config = named_types(dict(generator or self.default_generator), MODELS)
        self.generator = MODELS.build(dict(self.generator_config))
        self._check_host(init_cfg['checkpoint'] if init_cfg else None)
        self.working_size = tuple(working_size) if working_size else None
        self.tiles = Tiles(tile_size, tile_overlap) if tile_size else None
        if tile_batch_size < 1:
            raise UsageError(f'tile_batch_size must be at least 1, got {tile_batch_size}')
        self.tile_batch_size = tile_batch_size
        # Saved with the checkpoint to distinguish a trained generator from a random one.
        self.register_buffer('num_updates', torch.zeros((), dtype=torch.int64))
        self._known_trained = False
        if init_cfg is not None and export is not None:
            self._load_export(export, init_cfg['checkpoint'])

    def _check_host(self, path: Optional[str]) -> None:
        """Whether the network, and the model that it was trained in front of, suit the model that is protected."""
        host = host_of_class(type(self.native))
        if host is None:
            return
        network = type(self.generator).__name__ + (f' of {path}' if path else '')
        if host.dense and getattr(self.generator, 'for_classifiers', False):
            raise UsageError(
                f'{network} shows the model a drawing of one class in place of the image: take it for classifiers, '
                f'and another purifier for {host.task}'
            )
        task = zoo_entry(path)['task'] if isinstance(path, str) and path.startswith(SCHEME) else host.task
        if task != host.task:
            print_log(
                f'{path} was trained in front of a model for {task}, and this one is for {host.task}: measure what it '
                'is worth here, or take another purifier',
                'current',
                logging.WARNING,
            )

    def _load_export(self, export: dict, path: str) -> None:
        self._check_generator(
            export['state_dict'], f'{path} was exported from another generator ({export["generator"]})'
        )
        self.generator.load_state_dict(export['state_dict'])
        self.num_updates.fill_(export['num_updates'])

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        # MMEngine loads non-strictly: a checkpoint of another generator would leave this one random, yet mark it as
        # trained.
        start = f'{prefix}generator.'
        theirs = {name[len(start) :]: value for name, value in state_dict.items() if name.startswith(start)}
        if theirs:
            self._check_generator(theirs, 'the checkpoint was trained with another generator')
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_generator(self, theirs: dict, complaint: str) -> None:
        report = compare_state_dict(self.generator, theirs, ignore=())
        if report.unfit:
            raise CheckpointMismatch(
                f'{complaint} than {self.generator_config}: '
                f'{report.unfit[0]} and {len(report.unfit) - 1} more of {report.total} tensors do not fit'
            )

    def export(self) -> dict:
        """The generator's config and weights, for a purifier in front of another model."""
        state = {name: value.detach().cpu() for name, value in self.generator.state_dict().items()}
        return {
            'generator': self.generator_config,
            'working_size': self.working_size,
            'tile_size': self.tiles and self.tiles.size,
            'num_updates': int(self.num_updates),
            'state_dict': state,
        }

    def load_pretrained(self) -> None:
        """Fill the parts of an untrained generator that start as those of a trained classifier.

        Raises:
            FileNotFoundError: if there is no such checkpoint.
            ValueError: if it does not fit.
        """
        if int(self.num_updates):
            return
        for name, (part, path) in getattr(self.generator, 'pretrained', {}).items():
            count = load_part(self.generator.get_submodule(name), path, part)
            print_log(f'loaded {count} tensors of {path} into the {name} of the generator', 'current')

    def check_ready(self) -> None:
        if self._known_trained:
            return
        if int(self.num_updates) == 0:
            raise StateError(
                f'{type(self).__name__} is untrained: no checkpoint with a generator was loaded. Train it with '
                'tools/train.py, or load an export with init_cfg=dict(type="Pretrained", checkpoint="purifier.pth")'
            )
        self._known_trained = True

    def generate(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run ``G`` once.

        Args:
            images: pixels ``(N, 3, H, W)``.

        Returns:
            The input and output of ``G``, in [-1, 1] at the working size.
        """
        inputs = to_unit_range(images)
        if self.working_size:
            inputs = resize(inputs, self.working_size)
        padded = pad_to_multiple(inputs, getattr(self.generator, 'divisor', 1))
        outputs = self.generator(padded).to(images.dtype)
        return inputs, outputs[..., : inputs.shape[-2], : inputs.shape[-1]]

    def purify(self, images: Pixels) -> Pixels:
        return self._run(images)[2]

    def _run_stacked(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs and outputs of ``G``, at the working size or, with several tiles, merged at the original size; and the
        purified pixels.
        """
        height, width = images.shape[-2:]
        padded = images if self.tiles is None else self.tiles.pad(images)
        if self.tiles is None or self.tiles.number(padded) == 1:
            inputs, outputs = self.generate(padded)
            return inputs, outputs, to_pixels(resize(outputs, padded.shape[-2:])[..., :height, :width])
        parts = self.tiles.split(padded).split(self.tile_batch_size)
        cleaned = torch.cat([resize(self.generate(part)[1], self.tiles.size) for part in parts])
        outputs = self.tiles.merge(cleaned, padded.shape[-2:])[..., :height, :width]
        return to_unit_range(images), outputs, to_pixels(outputs)

    def _run(self, images: Pixels) -> tuple[Tensor, Tensor, Pixels]:
        """Inputs and outputs of ``G``, stacked, and the purified pixels, each as in :meth:`_run_stacked`."""
        if isinstance(images, Tensor):
            return self._run_stacked(images)
        layout = Layout.of(images)
        inputs: list = [None] * len(images)
        outputs: list = [None] * len(images)
        purified: list = [None] * len(images)
        if self.working_size and self.tiles is None and not layout.is_uniform:
            # Sizes differ, but not after resizing: a single run suffices.
            small = torch.stack([resize(image[None], self.working_size)[0] for image in images])
            stacked_in, stacked_out = self.generate(small)
            purified = [to_pixels(resize(out[None], size)[0]) for out, size in zip(stacked_out, layout.sizes)]
            return stacked_in, stacked_out, purified
        for members in layout.groups().values():
            group_in, group_out, group_pixels = self._run_stacked(torch.stack([images[index] for index in members]))
            for position, index in enumerate(members):
                inputs[index], outputs[index] = group_in[position], group_out[position]
                purified[index] = group_pixels[position]
        return stack(inputs)[0], stack(outputs)[0], purified

    def forward(self, data: dict, training: bool = False) -> dict:
        """Purify and preprocess; in training, the clean and the adversarial images as one batch of twice the size.

        Args:
            data: a batch of the data loader; in training it contains the step of :class:`PurifierTrainHook`, which is
                removed.

        Returns:
            The native preprocessor's output; in training with the step, which now holds the purified images.

        Raises:
            RuntimeError: in training without the step, in testing without a trained generator.
        """
        if not training or not self.enabled:
            return super().forward(data, training)
        step: Optional[PurifierStep] = data.pop(STEP, None)
        if step is None:
            raise StateError(
                f'{type(self).__name__} got no adversarial images to train on: add dict(type="PurifierTrainHook", ...) '
                'to custom_hooks, or train with tools/train.py, which does so'
            )
        if self.trained_on_clean and step.adversarial is not None:
            raise UsageError(
                f"{type(self).__name__} is trained on clean images alone: set PurifierTrainHook(train_on='clean'), "
                'without an attack'
            )
        samples = data.get('data_samples')
        purified = self._train_on_clean(step) if step.adversarial is None else self._train_on(step, step.adversarial)
        if len(purified) > len(step.clean) and samples is not None:
            samples = [*samples, *copy.deepcopy(list(samples))]
        return {**self.native({'inputs': purified, 'data_samples': samples}, training), STEP: step}

    def _train_on_clean(self, step: PurifierStep) -> Pixels:
        """Run ``G`` on a training batch of clean images, put what the loss terms read into ``step.images``, and return
        the pixels for the target.
        """
        inputs, outputs, purified = self._run(step.clean)
        step.images = PurifiedImages(inputs, None, outputs, None)
        return purified

    def _train_on(self, step: PurifierStep, adversarial: Pixels) -> Pixels:
        """The same for a batch that has been attacked; what is returned has both halves if both are purified."""
        if step.purifies_clean:
            inputs, outputs, purified = self._run(joined(step.clean, adversarial))
            (clean, attacked), halves = inputs.chunk(2), outputs.chunk(2)
            step.images = PurifiedImages(clean, attacked, *halves)
        else:
            inputs, outputs, purified = self._run(adversarial)
            step.images = PurifiedImages(self._at_working_size(step.clean), inputs, None, outputs)
        return purified

    def _at_working_size(self, images: Pixels) -> Tensor:
        """The inputs of ``G`` as :meth:`_run` returns them, without running it."""
        if not isinstance(images, Tensor):
            return stack([self._at_working_size(image[None])[0] for image in images])[0]
        if self.tiles is not None:
            padded = self.tiles.pad(images)
            if self.tiles.number(padded) > 1:
                return to_unit_range(images)
            images = padded
        return resize(to_unit_range(images), self.working_size or images.shape[-2:])
