"""Feature matching, the companion of the GAN loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmadvdefense.registry import MODELS

from .base import ImageName, PurifierBatch, PurifierLoss, check_image_name


@MODELS.register_module()
class FeatureMatchingLoss(PurifierLoss):
    """L1 between the discriminator's features of two images, L_m in equation 4 of the Align paper (arXiv 2212.05387),
    weighted as in pix2pixHD (arXiv 1711.11585).

    The term is ``loss_feature_matching``. The guide is detached.

    Args:
        fake: the images that are trained.
        guide: the images whose features they should have.
        loss_weight: weight of the term.

    Raises:
        ValueError: if ``fake`` or ``guide`` is no :data:`ImageName`.
    """

    needs_discriminator = True

    def __init__(
        self,
        fake: ImageName = 'purified_adversarial',
        guide: ImageName = 'purified_clean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        check_image_name('fake', fake)
        check_image_name('guide', guide)
        self.fake = fake
        self.guide = guide

    def forward(self, fake: list[list[Tensor]], guide: list[list[Tensor]]) -> Tensor:
        """Mean L1 of every layer but the logits; a layer counts 4 / (their number), a scale 1 / (number of scales).

        Args:
            fake: discriminator outputs by scale and layer, logits last.
            guide: the same for the guide.

        Returns:
            The unweighted scalar.
        """
        return sum(
            4 / (len(layers) - 1) / len(fake) * F.l1_loss(layer, guide_layer.detach())
            for layers, guide_layers in zip(fake, guide)
            for layer, guide_layer in zip(layers[:-1], guide_layers)
        )

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        if not self.loss_weight:
            return {}
        # The discriminator's own loss needs the same outputs, so a batch that remembers them runs it once.
        loss = self(batch.discriminate(self.fake), batch.discriminate_detached(self.guide))
        return {'loss_feature_matching': self.loss_weight * loss}
