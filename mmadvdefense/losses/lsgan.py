"""The adversarial loss of the generator and its discriminator."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ..registry import MODELS
from .base import ImageName, PurifierBatch, PurifierLoss, check_image_name, image_names, total


@MODELS.register_module()
class LSGANLoss(PurifierLoss):
    """Least-squares GAN loss, equation 2 of the Align paper (arXiv 2212.05387), after `Least Squares Generative
    Adversarial Networks <https://arxiv.org/abs/1611.04076>`_.

    The terms are ``loss_gan_generator`` and ``loss_gan_discriminator``. The traditional form, equation 10, is
    ``real='clean', fake=('purified_clean', 'purified_adversarial')``.

    Args:
        real: the images that the discriminator learns to call real.
        fake: the images that it learns to call fake, and that the generator learns to pass off as real; the losses of
            several are summed.
        generator_weight: weight of the generator's side.
        discriminator_weight: weight of the discriminator's side. With 1 the real images and each kind of fake ones
            count 1/2 (the released code), with 2 they count 1 (the equations).
        loss_weight: weight of both sides.

    Raises:
        ValueError: if ``real`` or one of ``fake`` is not an :data:`ImageName`.
    """

    needs_discriminator = True

    def __init__(
        self,
        real: ImageName = 'purified_clean',
        fake: ImageName | Sequence[ImageName] = 'purified_adversarial',
        generator_weight: float = 1.0,
        discriminator_weight: float = 1.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        check_image_name('real', real)
        self.real = real
        self.fakes = image_names('fake', fake)
        self.generator_weight = generator_weight
        self.discriminator_weight = discriminator_weight

    def forward(self, outputs: list[list[Tensor]], target_is_real: bool) -> Tensor:
        """Squared distance of the logits to 1 (real) or 0, averaged over each scale's map and summed over scales.

        Args:
            outputs: discriminator outputs by scale and layer, logits ``(N, 1, h, w)`` last.
            target_is_real: whether the logits should be 1, not 0.

        Returns:
            The unweighted scalar.
        """
        logits = [layers[-1] for layers in outputs]
        return total(F.mse_loss(scale, scale.new_full(scale.shape, float(target_is_real))) for scale in logits)

    def generator_loss(self, *fakes: list[list[Tensor]]) -> Tensor:
        """``E[(D(fake) - 1)^2]``, summed over the kinds of fake images."""
        return total(self(fake, target_is_real=True) for fake in fakes)

    def discriminator_loss(self, real: list[list[Tensor]], *fakes: list[list[Tensor]]) -> Tensor:
        """``(E[(D(real) - 1)^2] + E[D(fake)^2]) / 2``, the second summed over the kinds of fake images."""
        loss: Tensor = self(real, target_is_real=True)
        return (loss + total(self(fake, target_is_real=False) for fake in fakes)) / 2

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        terms = {}
        if weight := self.loss_weight * self.generator_weight:
            fakes = [batch.discriminate(name) for name in self.fakes]
            terms['loss_gan_generator'] = weight * self.generator_loss(*fakes)
        if weight := self.loss_weight * self.discriminator_weight:
            real, *fakes = [batch.discriminate_detached(name) for name in (self.real, *self.fakes)]
            terms['loss_gan_discriminator'] = weight * self.discriminator_loss(real, *fakes)
        return terms
