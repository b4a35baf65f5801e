"""One training batch as the loss terms see it; everything is computed when first asked for, once."""

from __future__ import annotations

from typing import Optional, Sequence

import torch
from torch import Tensor, nn

from ..attacks import CleanReference
from ..errors import UsageError
from ..purifiers import PurifiedImages
from ..tasks import Task


class TrainingBatch:
    """Implements ``losses.base.PurifierBatch``.

    Args:
        images: inputs and outputs of the generator.
        reference: the target's output on the clean images without a purifier.
        features: the target's features of the purified clean and adversarial images, ``(2N, ...)``, or ``(N, ...)`` of
            the adversarial alone where ``images`` has no purified clean ones.
        data_samples: prepared samples of the clean half.
        task: of the target.
        discriminator: None where the objective has no GAN term.
        condition_on_labels: append the one-hot ground truth to the discriminator's input.
    """

    def __init__(
        self,
        images: PurifiedImages,
        reference: CleanReference,
        features: Tensor,
        data_samples: Sequence,
        task: Task,
        discriminator: Optional[nn.Module],
        condition_on_labels: bool = False,
    ):
        self._images = images
        self._reference = reference
        self._purified_clean, self._purified_adversarial = (
            (None, features) if images.purified_clean is None else features.chunk(2)
        )
        self._samples = data_samples
        self._task = task
        self._discriminator = discriminator
        self._condition_on_labels = condition_on_labels
        self._cache: dict = {}

    def _once(self, key, compute):
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    def pixels(self, name: str) -> Tensor:
        return self._known(name, getattr(self._images, name))

    def features(self, name: str) -> Tensor:
        if name == 'clean':
            return self._reference.features
        if name not in ('purified_clean', 'purified_adversarial'):
            raise UsageError(
                f'features of {name!r} are not computed in training; a guide can be clean or purified_clean'
            )
        return self._known(name, getattr(self, f'_{name}'))

    @staticmethod
    def _known(name: str, value: Optional[Tensor]) -> Tensor:
        if value is None:
            raise UsageError(
                f"a loss asks for {name}, but the purifier is trained with train_on='adversarial': "
                "set its clean_weight=0 and adv_guide='clean', or train_on='both'"
            )
        return value

    def class_features(self, name: str) -> Tensor:
        return self._classed(name)[0]

    @property
    def labels(self) -> Tensor:
        return self._classed('purified_adversarial')[1]

    @property
    def num_classes(self) -> int:
        return self._task.num_classes

    def _classed(self, name: str) -> tuple[Tensor, Tensor]:
        return self._once(
            ('class', name), lambda: self._task.class_features(self.features(name).float(), self._samples)
        )

    def _discriminator_input(self, images: Tensor) -> Tensor:
        if not self._condition_on_labels:
            return images
        size = tuple(images.shape[-2:])
        label_map = self._once(
            ('map', size), lambda: self._task.label_map(self._samples, size, images.device).to(images.dtype)
        )
        return torch.cat([images, label_map], 1)

    def discriminate(self, name: str) -> list[list[Tensor]]:
        """For the generator's losses: gradients reach the image, the discriminator's parameters are not tracked."""

        def compute():
            untracked = {key: parameter.detach() for key, parameter in self._discriminator.named_parameters()}
            inputs = (self._discriminator_input(self.pixels(name)),)
            return torch.func.functional_call(self._discriminator, untracked, inputs)

        return self._once(('untracked', name), compute)

    def discriminate_detached(self, name: str) -> list[list[Tensor]]:
        """For the discriminator's losses: its parameters are tracked, the image is detached."""
        return self._once(
            ('detached', name), lambda: self._discriminator(self._discriminator_input(self.pixels(name).detach()))
        )
