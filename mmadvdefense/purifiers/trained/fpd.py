"""FPD: an image restored from a feature pyramid."""

from __future__ import annotations

from ...registry import MODELS
from .generator import GeneratorPurifier


@MODELS.register_module()
class FPDPurifier(GeneratorPurifier):
    """The feature pyramid decoder of Li et al., "Enhancing Intrinsic Adversarial Robustness via Feature Pyramid
    Decoder" (CVPR 2020), in front of a frozen target.

    As published it is no purifier: the classifier itself is the encoder, runs twice with shared weights, and is trained
    with the decoder. What can stand in front of a model that stays as it is, is the decoder with an encoder of its own
    (``FPDGenerator``); the comparison of Align's paper is of this kind, too. Trained as published, in two phases:
    ``PixelMSELoss`` alone until the restored images are close to the clean ones, then also the target's own loss
    (``GatedTaskLoss``).

    Args:
        kwargs: of :class:`GeneratorPurifier`.
    """

    default_generator = dict(type='FPDGenerator')
    recipe = 'fpd'
