"""Purifiers whose generator is trained against a discriminator of images."""

from __future__ import annotations

from typing import Optional

from torch import nn

from ...registry import MODELS
from .generator import GeneratorPurifier


class GANPurifier(GeneratorPurifier):
    """A generator with a discriminator that sees images and no labels.

    Args:
        discriminator: config of a network from images in [-1, 1] to its outputs by scale and layer, logits last; needed
            for training only.
        kwargs: of :class:`GeneratorPurifier`.
    """

    discriminator: Optional[nn.Module]

    def __init__(self, discriminator: Optional[dict] = None, **kwargs):
        super().__init__(**kwargs)
        self.discriminator = MODELS.build(dict(discriminator)) if discriminator else None
