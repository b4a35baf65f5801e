"""Feature matching, which goes with the GAN loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ..errors import UsageError
from ..registry import MODELS
from .base import ImageName, PurifierBatch, PurifierLoss, check_image_name, image_names, total


@MODELS.register_module()
class FeatureMatchingLoss(PurifierLoss):
    """L1 between the discriminator's features of two images, L_m in equation 3 of the Align paper (arXiv 2212.05387),
    weighted as in pix2pixHD (arXiv 1711.11585).

    The term is ``loss_feature_matching``. The guide is detached. The traditional form, equation 11, is
    ``fake=('purified_adversarial', 'purified_clean'), guide='clean'``.

    Args:
        fake: the images whose features are trained; the losses of several are summed.
        guide: the images whose features they should have.
        loss_weight: weight of the term.
        layers: which of the discriminator's layers are compared, from 0, the logits last. The paper takes all five,
            ``range(5)``, and deletes single ones in its table X; None is all but the logits (the released code).

    Raises:
        ValueError: if ``guide`` or one of ``fake`` is not an :data:`ImageName`, or if ``layers`` has negative or
            repeated indices; when used, if the discriminator has no such layer.
    """

    needs_discriminator = True

    def __init__(
        self,
        fake: ImageName | Sequence[ImageName] = 'purified_adversarial',
        guide: ImageName = 'purified_clean',
        loss_weight: float = 1.0,
        layers: Sequence[int] | None = None,
    ) -> None:
        super().__init__(loss_weight)
        check_image_name('guide', guide)
        if layers is not None and (not layers or min(layers) < 0 or len(set(layers)) < len(layers)):
            raise UsageError(f'layers are indices from 0, each once, not {list(layers)}')
        self.fakes = image_names('fake', fake)
        self.guide = guide
        self.layers = layers

    def forward(self, fake: list[list[Tensor]], guide: list[list[Tensor]]) -> Tensor:
        """Mean L1 over ``layers``, each weighted by 4 / (number of layers but the logits) and 1 / (number of scales).

        Leaving out a layer does not change the weights of the others.

        Args:
            fake: discriminator outputs by scale and layer, logits last.
            guide: the same for the guide.

        Returns:
            The unweighted scalar.
        """
        number = len(fake[0])
        layers = range(number - 1) if self.layers is None else self.layers
        if max(layers) >= number:
            raise UsageError(
                f'FeatureMatchingLoss has layers={list(layers)}, but the discriminator has the layers 0 to {number - 1}'
            )
        return total(
            4 / (number - 1) / len(fake) * F.l1_loss(outputs[layer], guide_outputs[layer].detach())
            for outputs, guide_outputs in zip(fake, guide)
            for layer in layers
        )

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        if not self.loss_weight:
            return {}
        # The discriminator's own loss needs the same outputs, so a batch that remembers them runs it once.
        guide = batch.discriminate_detached(self.guide)
        loss = total(self(batch.discriminate(fake), guide) for fake in self.fakes)
        return {'loss_feature_matching': self.loss_weight * loss}
