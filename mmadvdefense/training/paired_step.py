"""What the loss terms of adversarial training read: both halves of a batch, at every layer that one of them wants."""

from __future__ import annotations

from typing import Mapping, Optional, Sequence

from torch import Tensor

from ..attacks import AttackSource, CleanReference
from ..errors import UsageError
from ..losses import PurifierBatch
from ..pixels import Pixels
from ..randomness import Randomness
from ..tasks import FeatureTap
from .step import TrainingStep

# None is the task's own choice.
Layer = Optional[str]


class PairedStep:
    """One batch of clean images and their adversarial versions in front of a model that is trained itself.

    Implements ``losses.base.PurifierBatch``. There is no purifier, so ``'purified_clean'`` and
    ``'purified_adversarial'`` are the two halves as the model sees them, and ``'clean'`` is the model in eval mode,
    without gradients, on the clean images.

    Args:
        taps: by layer, where its features are read.
        source: the model as it is attacked.
        clean: pixels.
        adversarial: pixels, in the layout of ``clean``.
    """

    def __init__(self, taps: Mapping[Layer, FeatureTap], source: AttackSource, clean: Pixels, adversarial: Pixels):
        self._steps = {
            layer: TrainingStep(clean, adversarial, CleanReference(source, clean, tap), tap, source.task)
            for layer, tap in taps.items()
        }

    def enter_model(self) -> None:
        """Start recording features."""
        for step in self._steps.values():
            step.enter_target()

    def leave_model(self, data_samples: Sequence) -> None:
        """Store the features of the forward pass that has ended; ``data_samples`` are those of both halves."""
        for step in self._steps.values():
            step.leave_target(data_samples)

    def abandon_model(self) -> None:
        """Clean up after a forward pass that raised an error."""
        for step in self._steps.values():
            step.abandon_target()

    def view(self, layer: Layer) -> PairedView:
        """The batch as the terms on one layer read it."""
        return PairedView(self, self._steps[layer])

    def knows(self, layer: Layer) -> bool:
        return layer in self._steps


class PairedView:
    """A :class:`PairedStep` with the features of one of its layers."""

    def __init__(self, whole: PairedStep, step: TrainingStep):
        self._whole = whole
        self._step = step

    @property
    def iteration(self) -> int:
        raise UsageError('a loss term alternates between two networks, as those of a GAN do: it needs a purifier')

    @property
    def randomness(self) -> Randomness:
        raise UsageError('a loss term draws random numbers, which only those of a purifier do')

    @property
    def labels(self) -> Tensor:
        return self._step.labels

    def features(self, name: str) -> Tensor:
        return self._step.features(name)

    def class_features(self, name: str) -> Tensor:
        return self._step.class_features(name)

    def at(self, layer: str) -> PurifierBatch:
        if not self._whole.knows(layer):
            raise UsageError(f'the layer {layer!r} is not read: a loss term names it in other_layers')
        return self._whole.view(layer)

    def pixels(self, name: str) -> Tensor:
        raise UsageError('a loss term compares images, but without a purifier there is nothing that changes them')

    def discriminate(self, name: str) -> list[list[Tensor]]:
        raise UsageError('a loss term needs the discriminator of images that an AlignPurifier has')

    discriminate_detached = discriminate

    def discriminate_images(self, images: Tensor) -> list[list[Tensor]]:
        return self.discriminate('clean')

    @property
    def task_losses(self) -> list[Tensor]:
        raise UsageError("a loss term reads the target's own losses, which only a purifier is trained with")

    @property
    def log_likelihood(self) -> Tensor:
        raise UsageError('a loss term needs the likelihoods of a generative purifier, and there is none')
