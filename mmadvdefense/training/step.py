"""One training step, filled by the hook, the purifier and the target in turn, then read by the loss terms."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Callable, Hashable, Optional, Sequence, TypeVar

import torch
from torch import Tensor, nn

from ..attacks import CleanReference
from ..errors import UsageError
from ..pixels import Pixels
from ..purifiers import PurifiedImages
from ..randomness import Randomness
from ..tasks import FeatureTap, Task

_Key = TypeVar('_Key', bound=Hashable)
_Value = TypeVar('_Value')


class TrainingStep:
    """The state of one training batch.

    The training hook creates it and puts it into the data batch. The purifier removes it, stores its images in it and
    passes it on with the preprocessed batch. The target adds its features and the prepared samples, and the loss terms
    read everything. Only the runner's own training step keeps it longer, until the update, so it is gone after the
    iteration, and after an error, too.

    Implements ``losses.base.PurifierBatch`` and ``purifiers.trained.step.PurifierStep``. Values for the loss terms are
    computed on demand and only once.

    Args:
        clean: float pixels 0-255 on the target's device.
        adversarial: the same images after the attack, in the layout of ``clean``; None without an attack.
        reference: the target's output on the clean images without a purifier.
        tap: records the target's features.
        task: the target's task.
        purifies_clean: whether the generator runs on the clean images, too.
        discriminator: None if the objective has no GAN term.
        condition_on_labels: append the one-hot ground truth to the discriminator's input.
        randomness: random numbers of the batch, for the purifier and the loss terms.

    Attributes:
        iteration: number of the training iteration, from 0; set by the hook.
    """

    def __init__(
        self,
        clean: Pixels,
        adversarial: Optional[Pixels],
        reference: CleanReference,
        tap: FeatureTap,
        task: Task,
        purifies_clean: bool = True,
        discriminator: Optional[nn.Module] = None,
        condition_on_labels: bool = False,
        randomness: Optional[Randomness] = None,
    ):
        self.clean = clean
        self.adversarial = adversarial
        self.purifies_clean = purifies_clean
        self.images: Optional[PurifiedImages] = None
        self._reference = reference
        self._tap = tap
        self._task = task
        self._discriminator = discriminator
        self._condition_on_labels = condition_on_labels
        self.randomness = randomness or Randomness(0)
        self.iteration = 0
        self._losses: dict[str, Any] = {}
        self._recording = ExitStack()
        self._features: dict[str, Optional[Tensor]] = {}
        self._samples: Sequence = ()
        self._classed: dict[str, tuple[Tensor, Tensor]] = {}
        self._label_maps: dict[tuple[int, ...], Tensor] = {}
        self._discriminated: dict[tuple[str, bool], list[list[Tensor]]] = {}

    # --- filled by the target -------------------------------------------------------------------------------

    def enter_target(self) -> None:
        """Start recording the features of the next forward pass."""
        self._recording.enter_context(self._tap)

    def leave_target(self, data_samples: Sequence, losses: Optional[dict[str, Any]] = None) -> None:
        """Store the target's features of the purified images.

        Args:
            data_samples: prepared samples; with both halves, the clean ones come first.
            losses: what the target returns: tensors and lists of tensors, losses among them.
        """
        self._recording.close()
        features = self._tap.take()
        if self.adversarial is None:
            self._features = {'purified_clean': features, 'purified_adversarial': None}
        else:
            clean, adversarial = features.chunk(2) if self.purifies_clean else (None, features)
            self._features = {'purified_clean': clean, 'purified_adversarial': adversarial}
        self._samples = data_samples[: len(self.clean)]
        self._losses = losses or {}

    def abandon_target(self) -> None:
        """Clean up after a forward pass of the target that raised an error."""
        self._recording.close()
        self._tap.value = None

    def at(self, layer: str) -> TrainingStep:
        raise UsageError(
            f'a loss term reads {layer!r} beside its own layer, for which it needs AdversarialTrainingHook'
        )

    # --- read by the loss terms -----------------------------------------------------------------------------

    def pixels(self, name: str) -> Tensor:
        return _known(name, getattr(self.images, name))

    @property
    def task_losses(self) -> list[Tensor]:
        own = [value for name, value in self._losses.items() if 'loss' in name]
        parts = [[value] if isinstance(value, Tensor) else value for value in own]
        return [part.mean() for value in parts for part in value]

    @property
    def log_likelihood(self) -> Tensor:
        value = None if self.images is None else self.images.log_likelihood
        if value is None:
            raise UsageError('a loss term needs the likelihood of the clean images, which this purifier does not give')
        return value

    def features(self, name: str) -> Tensor:
        if name == 'clean':
            return self._reference.features
        if name not in self._features:
            raise UsageError(
                f'features of {name!r} are not computed in training; a guide can be clean or purified_clean'
            )
        return _known(name, self._features[name])

    def class_features(self, name: str) -> Tensor:
        return self._class_features_and_labels(name)[0]

    @property
    def labels(self) -> Tensor:
        return self._class_features_and_labels('purified_adversarial')[1]

    def _class_features_and_labels(self, name: str) -> tuple[Tensor, Tensor]:
        return _once(self._classed, name, lambda: self._task.class_features(self.features(name).float(), self._samples))

    def discriminate_images(self, images: Tensor) -> list[list[Tensor]]:
        """For penalties on the discriminator at any images, such as mixtures; gradients flow to both."""
        return self._given_discriminator(self._with_labels(images))

    def discriminate(self, name: str) -> list[list[Tensor]]:
        """For the generator's losses: gradients flow to the image, but not to the discriminator's parameters."""

        def compute() -> list[list[Tensor]]:
            discriminator = self._given_discriminator
            untracked = {key: parameter.detach() for key, parameter in discriminator.named_parameters()}
            return torch.func.functional_call(discriminator, untracked, (self._with_labels(self.pixels(name)),))

        return _once(self._discriminated, (name, False), compute)

    def discriminate_detached(self, name: str) -> list[list[Tensor]]:
        """For the discriminator's losses: gradients flow to its parameters, but the image is detached."""
        return _once(
            self._discriminated,
            (name, True),
            lambda: self._given_discriminator(self._with_labels(self.pixels(name).detach())),
        )

    @property
    def _given_discriminator(self) -> nn.Module:
        if self._discriminator is None:
            raise UsageError('a loss term needs the output of a discriminator, but the purifier has none')
        return self._discriminator

    def _with_labels(self, images: Tensor) -> Tensor:
        if not self._condition_on_labels:
            return images
        size = tuple(images.shape[-2:])
        label_map = _once(
            self._label_maps,
            size,
            lambda: self._task.label_map(self._samples, size, images.device).to(images.dtype),
        )
        return torch.cat([images, label_map], 1)


def _once(known: dict[_Key, _Value], key: _Key, compute: Callable[[], _Value]) -> _Value:
    if key not in known:
        known[key] = compute()
    return known[key]


def _known(name: str, value: Optional[Tensor]) -> Tensor:
    if value is None:
        # With train_on='adversarial' the clean half is missing, with 'clean' everything adversarial.
        half, remedy = (
            ('adversarial', "clean_weight=0 and adv_guide='clean'") if 'clean' in name else ('clean', 'adv_weight=0')
        )
        raise UsageError(
            f'a loss needs {name}, but the purifier is trained with train_on={half!r}: '
            f"set its {remedy}, or train_on='both'"
        )
    return value
