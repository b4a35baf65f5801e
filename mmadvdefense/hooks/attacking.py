"""What hooks that attack training batches have in common, for other hooks that watch or steer them."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, Optional, Sequence

from mmengine.hooks import Hook
from torch import Tensor

from ..attacks import Attack, AttackSource, Randomness
from ..errors import UsageError
from ..pixels import Pixels
from ..training.free import FreePerturbation
from ..training.training_attack import protected_source


class AttackingHook(Hook):
    """A hook that trains on adversarial images.

    Attributes:
        attack_share: share of the attack's budget and step size that is used at present, at least 0.
        free: what stands in for the attack in training iterations; None for the attack itself.
    """

    # Set during training only: the attacked model without a purifier.
    _source: AttackSource
    attack_share = 1.0
    free: Optional[FreePerturbation] = None

    @property
    @abstractmethod
    def attacks(self) -> Sequence[Attack]:
        """All attacks from which a batch's attack is chosen, with their whole budgets."""

    @property
    def adaptive_source(self) -> AttackSource:
        """During training: the model, and its purifier if it has one, as an attacker who knows both sees them."""
        return protected_source(self._source)

    @abstractmethod
    def craft(self, clean: Pixels, data_samples: Sequence, randomness: Randomness) -> Pixels:
        """During training: adversarial images as the hook makes them at present, in the layout of ``clean``.

        Args:
            clean: float pixels 0-255 on the model's device.
            data_samples: the host's data samples; not modified.
            randomness: random numbers of the batch.
        """


def set_aside(data_batch: dict, num_images: int) -> tuple[Pixels, list]:
    """The first images of a training batch and copies of their data samples, before the model changes these."""
    samples = data_batch['data_samples'][:num_images]
    return data_batch['inputs'][:num_images], copy.deepcopy(list(samples))


def clean_pixels(model: Any, inputs: Pixels) -> Pixels:
    """Inputs of a training batch as float pixels on the model's device."""
    inputs = model.data_preprocessor.cast_data(inputs)
    return inputs.float() if isinstance(inputs, Tensor) else [image.float() for image in inputs]


def attacking_hook(runner, user: str) -> AttackingHook:
    """The hook of a runner that attacks training batches.

    Raises:
        ValueError: unless there is exactly one; the message begins with ``user``, who needs it.
    """
    found = [hook for hook in runner.hooks if isinstance(hook, AttackingHook)]
    if len(found) != 1:
        raise UsageError(
            f'{user} goes with one PurifierTrainHook or AdversarialTrainingHook in custom_hooks, found {len(found)}'
        )
    return found[0]
