"""HGD: a denoiser guided by the target model's responses."""

from __future__ import annotations

from typing import Optional

from torch import Tensor

from ...errors import UsageError
from ...pixels import Pixels
from ...registry import MODELS
from .generator import GeneratorPurifier


@MODELS.register_module()
class HGDPurifier(GeneratorPurifier):
    """The denoiser of Liao et al., "Defense against Adversarial Attacks Using High-Level Representation Guided
    Denoiser" (arXiv 1712.02976): a network that predicts the negative noise of an image.

    The objective determines the guidance (pixels, features, logits or labels): see ``objective_hgd_*.py`` in
    ``configs/_base_/defenses``.

    Args:
        generator: config of the denoiser; by default DUNET at its published widths (11.0 M parameters), or the exported
            network of ``init_cfg``.
        init_cfg: as for :class:`GeneratorPurifier`.
        noise_scale: factor applied to the predicted noise at test time; 1 in training. The paper's "PGD x2" (appendix
            B, table 8) uses 2, for a pixel-guided denoiser that was trained as usual.
        kwargs: of :class:`GeneratorPurifier`.

    Raises:
        ValueError: if a discriminator is given, which this method does not use, or for a negative ``noise_scale``.
    """

    recipe = 'hgd'

    def __init__(
        self, generator: Optional[dict] = None, init_cfg: Optional[dict] = None, noise_scale: float = 1.0, **kwargs
    ):
        if 'discriminator' in kwargs or 'condition_on_labels' in kwargs:
            raise UsageError(
                'HGDPurifier has no discriminator: leave discriminator and condition_on_labels out, and train it with '
                'PurifierTrainHook and an objective of configs/_base_/defenses/objective_hgd_*.py'
            )
        if generator is None and init_cfg is None:
            generator = dict(type='DUNet')
        if not noise_scale >= 0:
            raise UsageError(f'HGDPurifier: noise_scale must be >= 0, got {noise_scale}')
        super().__init__(generator=generator, init_cfg=init_cfg, **kwargs)
        self.noise_scale = noise_scale

        # Training batches, and those of a validation loss, do not go through purify().
        self._scale = 1.0

    def generate(self, images: Tensor) -> tuple[Tensor, Tensor]:
        inputs, outputs = super().generate(images)
        return inputs, outputs if self._scale == 1 else inputs + self._scale * (outputs - inputs)

    def purify(self, images: Pixels) -> Pixels:
        self._scale = self.noise_scale
        try:
            return super().purify(images)
        finally:
            self._scale = 1.0
