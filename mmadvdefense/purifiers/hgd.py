"""HGD: a denoiser guided by what the target model makes of images."""

from __future__ import annotations

from typing import Optional

from ..registry import MODELS
from .generator import GeneratorPurifier


@MODELS.register_module()
class HGDPurifier(GeneratorPurifier):
    """The denoiser of Liao et al., "Defense against Adversarial Attacks Using High-Level Representation Guided
    Denoiser" (arXiv 1712.02976): a network that predicts the negative noise of an image.

    What guides it in training (pixels, features, logits or labels) is the objective's: ``objective_hgd_*.py`` in
    ``configs/_base_/defenses``.

    Args:
        generator: config of the denoiser; by default DUNET at its published widths (11.0 M parameters), or what
            ``init_cfg`` was exported with.
        init_cfg: as for :class:`GeneratorPurifier`.
        kwargs: of :class:`GeneratorPurifier`.

    Raises:
        ValueError: for a discriminator, which this method does not have.
    """

    def __init__(self, generator: Optional[dict] = None, init_cfg: Optional[dict] = None, **kwargs):
        if 'discriminator' in kwargs or 'condition_on_labels' in kwargs:
            raise ValueError(
                'HGDPurifier has no discriminator: leave discriminator and condition_on_labels out, and train it with '
                'PurifierTrainHook and an objective of configs/_base_/defenses/objective_hgd_*.py'
            )
        if generator is None and init_cfg is None:
            generator = dict(type='DUNet')
        super().__init__(generator=generator, init_cfg=init_cfg, **kwargs)
