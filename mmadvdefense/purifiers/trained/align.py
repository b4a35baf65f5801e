"""Align: a generator trained to bring the distributions of clean and adversarial images together."""

from __future__ import annotations

from typing import Optional

from ...errors import UsageError
from ...registry import MODELS
from .generator import GeneratorPurifier


@MODELS.register_module()
class AlignPurifier(GeneratorPurifier):
    """The purifier of Xu, Zhao, Torr and Jia, "General Adversarial Defense Against Black-box Attacks via Pixel Level
    and Feature Level Distribution Alignments" (arXiv 2212.05387).

    Args:
        discriminator: config of ``D`` on images in [-1, 1], needed for training only; None if the objective has no GAN
            term.
        condition_on_labels: give ``D`` the one-hot ground truth as additional channels, as the released code does for
            classification and segmentation. ``in_channels`` of ``D`` is then 3 + the number of classes; by default it
            is derived from the ``num_classes`` of MMPretrain's preprocessor, or by this package's tools from the
            model's head.
        kwargs: of :class:`GeneratorPurifier`.

    Raises:
        ValueError: if ``D`` is conditioned on labels and the number of classes is unknown.
    """

    def __init__(self, discriminator: Optional[dict] = None, condition_on_labels: bool = False, **kwargs):
        super().__init__(**kwargs)
        discriminator = dict(discriminator or {})
        if discriminator and condition_on_labels and 'in_channels' not in discriminator:
            num_classes = kwargs.get('num_classes')
            if num_classes is None:
                raise UsageError(
                    'condition_on_labels needs the number of classes: train with tools/train.py, which reads it from '
                    "the model's head, or set discriminator=dict(in_channels=3 + number of classes)"
                )
            discriminator['in_channels'] = 3 + num_classes
        self.discriminator = MODELS.build(discriminator) if discriminator else None
        self.condition_on_labels = condition_on_labels
