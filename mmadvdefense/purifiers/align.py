"""Align: a generator trained to bring the distributions of clean and adversarial images together."""

from __future__ import annotations

from typing import Optional

from ..registry import MODELS
from .generator import GeneratorPurifier


@MODELS.register_module()
class AlignPurifier(GeneratorPurifier):
    """The purifier of Xu, Zhao, Torr and Jia, "General Adversarial Defense Against Black-box Attacks via Pixel Level
    and Feature Level Distribution Alignments" (arXiv 2212.05387).

    Args:
        discriminator: config of ``D`` in [-1, 1], which training alone needs; None where the objective has no GAN term.
        condition_on_labels: give ``D`` the one-hot ground truth as additional channels, as the released code does for
            classification and segmentation; ``in_channels`` of ``D`` is then 3 + the number of classes.
        kwargs: of :class:`GeneratorPurifier`.
    """

    def __init__(self, discriminator: Optional[dict] = None, condition_on_labels: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.discriminator = MODELS.build(dict(discriminator)) if discriminator else None
        self.condition_on_labels = condition_on_labels
