"""What losses of a generator and its discriminator share: whose turn it is, and which images they see."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from ...errors import UsageError
from ..base import ImageName, PurifierBatch, PurifierLoss, check_image_name

# A discriminator's outputs by scale and layer, logits last.
Outputs = list[list[Tensor]]


class GANLoss(PurifierLoss):
    """Trains a generator to make images that a discriminator takes for real ones, and the discriminator to tell them
    apart.

    The terms are ``loss_gan_generator`` and ``loss_gan_discriminator``; each is there only when it is that player's
    turn. Whoever has no turn gets no gradient, so that Adam leaves its parameters as they are.

    Args:
        real: the images that the discriminator learns to call real.
        fake: the images that it learns to call fake, and that the generator learns to pass off as real.
        generator_weight: weight of the generator's side.
        discriminator_weight: weight of the discriminator's side.
        loss_weight: weight of both sides.
        generator_interval: the generator is trained in the last of so many iterations.
        discriminator_interval: the discriminator is trained in the first of so many iterations.

    Raises:
        ValueError: if ``real`` or ``fake`` is not an :data:`ImageName`, or an interval is below 1.
    """

    needs_discriminator = True

    def __init__(
        self,
        real: ImageName = 'clean',
        fake: ImageName = 'purified_adversarial',
        generator_weight: float = 1.0,
        discriminator_weight: float = 1.0,
        loss_weight: float = 1.0,
        generator_interval: int = 1,
        discriminator_interval: int = 1,
    ) -> None:
        super().__init__(loss_weight)
        check_image_name('real', real)
        check_image_name('fake', fake)
        if min(generator_interval, discriminator_interval) < 1:
            raise UsageError(
                f'{type(self).__name__}: intervals are at least 1, got generator_interval={generator_interval} and '
                f'discriminator_interval={discriminator_interval}'
            )
        self.real = real
        self.fake = fake
        self.generator_weight = generator_weight
        self.discriminator_weight = discriminator_weight
        self.generator_interval = generator_interval
        self.discriminator_interval = discriminator_interval

    @abstractmethod
    def generator_loss(self, batch: PurifierBatch) -> Tensor:
        """The generator's side, unweighted."""

    @abstractmethod
    def discriminator_loss(self, batch: PurifierBatch) -> Tensor:
        """The discriminator's side, unweighted."""

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        terms = {}
        weight = self.loss_weight * self.generator_weight
        if weight and (batch.iteration + 1) % self.generator_interval == 0:
            terms['loss_gan_generator'] = weight * self.generator_loss(batch)
        weight = self.loss_weight * self.discriminator_weight
        if weight and batch.iteration % self.discriminator_interval == 0:
            terms['loss_gan_discriminator'] = weight * self.discriminator_loss(batch)
        return terms


def logits(outputs: Outputs) -> Iterator[Tensor]:
    """The last layer of each scale, in full precision: differences of large logits are small."""
    last = (layers[-1] for layers in outputs)
    return (scale.to(torch.promote_types(scale.dtype, torch.get_default_dtype())) for scale in last)
