"""Gaussian noise, on which the purifiers of randomized smoothing are trained."""

from __future__ import annotations

from torch import Tensor

from ...noise import add_gaussian_noise, checked_sigma
from ...pixels import stack
from ...registry import ATTACKS
from ..base import Attack
from ..batch import AttackBatch


@ATTACKS.register_module()
class GaussianNoise(Attack):
    """Adds ``N(0, sigma^2)`` to every value of an image and clips to the pixel range.

    The images on which denoised smoothing trains (Salman et al., "Denoised Smoothing: A Provable Defense for Pretrained
    Classifiers", NeurIPS 2020, section 3). It has no budget: the norm of the noise is random.

    Args:
        sigma: standard deviation in pixels (0-255); by default the 0.25 of the papers.

    Raises:
        UsageError: for a ``sigma`` below 1.
    """

    access = 'nothing'
    stochastic = True

    def __init__(self, sigma: float = 63.75):
        super().__init__(eps=None, norm='l2')
        self.sigma = checked_sigma(type(self).__name__, sigma)

    @property
    def needs_labels(self) -> bool:
        return False

    def details(self) -> list[str]:
        return [f'sigma {self.sigma:g}']

    def perturb(self, batch: AttackBatch) -> Tensor:
        # Uneven images one by one, because an image's random numbers must not depend on its padding.
        images = batch.clean if batch.layout.is_uniform else batch.pixels(batch.clean)
        return stack(add_gaussian_noise(images, self.sigma, batch.randomness))[0]
