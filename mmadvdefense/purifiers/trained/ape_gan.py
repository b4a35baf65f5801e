"""APE-GAN: a small generator that eliminates the perturbation."""

from __future__ import annotations

from ...registry import MODELS
from .gan import GANPurifier


@MODELS.register_module()
class APEGANPurifier(GANPurifier):
    """The purifier of Shen, Jin, Gao and Zhang, "APE-GAN: Adversarial Perturbation Elimination with GAN" (arXiv
    1707.05474): trained to bring FGSM images back to the clean ones, by their squared difference and a discriminator
    that tells purified from clean images.

    The recipe is that of the public implementation: 0.7 times the MSE and 0.3 times the GAN loss, two steps of the
    generator for one of the discriminator, FGSM at 0.01 of the range of pixels. There, both generator steps are on the
    same batch; here every batch trains the generator and every other one the discriminator.

    Args:
        kwargs: of :class:`GANPurifier`.
    """

    default_generator = dict(type='APEGANGenerator')
    recipe = 'ape_gan'
