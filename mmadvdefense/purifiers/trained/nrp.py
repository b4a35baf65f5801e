"""NRP: a purifier that is trained without labels."""

from __future__ import annotations

from ...registry import MODELS
from .gan import GANPurifier


@MODELS.register_module()
class NRPPurifier(GANPurifier):
    """The neural representation purifier of Naseer et al., "A Self-supervised Approach for Adversarial Robustness"
    (CVPR 2020, arXiv 2006.04924).

    Trained on self-supervised perturbations (the attack ``SSP``, which moves the features of an image away from what
    they were) to bring back the clean image's pixels, its features in a frozen network, and its looks in the eyes of a
    relativistic discriminator. Neither labels nor the target's task are used, so it serves all tasks alike.

    The published network (16.6 M parameters) is the default; ``generator=dict(type='NRPGenerator', light=True)`` is the
    light one (1.7 M). Perturbations and features are VGG-16's in the paper (``configs/nrp/nrp_resnet50_*``). The
    default recipe takes the target's own in its place, which needs no download; the purifier then knows the target.

    Args:
        kwargs: of :class:`GANPurifier`.
    """

    default_generator = dict(type='NRPGenerator')
    recipe = 'nrp'
