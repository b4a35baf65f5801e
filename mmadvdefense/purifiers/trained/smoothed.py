"""Denoised smoothing: a generator in front of a classifier that is certified under Gaussian noise."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from ...errors import UsageError
from ...noise import add_gaussian_noise, checked_sigma
from ...pixels import Pixels
from ...randomness import Randomness
from ...registry import MODELS
from ..base import RandomPurifier
from .generator import GeneratorPurifier


@MODELS.register_module()
class SmoothedPurifier(GeneratorPurifier, RandomPurifier):
    """Adds Gaussian noise to an image, then removes it with a trained generator (Salman et al., "Denoised Smoothing: A
    Provable Defense for Pretrained Classifiers", NeurIPS 2020).

    One pass is one vote of the smoothed classifier, and proves nothing by itself: ``tools/certify.py`` takes many votes
    and certifies a radius. In training, noise comes from the training attack
    ``GaussianNoise``, and this purifier adds none.

    Args:
        sigma: standard deviation of the noise in pixels (0-255): the 0.25 of the papers is 63.75.
        seed: see :class:`RandomPurifier`.
        kwargs: of :class:`GeneratorPurifier`.

    Raises:
        UsageError: for a ``sigma`` below 1, a discriminator, or weights that were trained for another ``sigma``.
    """

    trained_sigma: Tensor

    def __init__(self, sigma: float, seed: int = 0, **kwargs):
        if 'discriminator' in kwargs or 'condition_on_labels' in kwargs:
            raise UsageError('SmoothedPurifier has no discriminator: leave discriminator and condition_on_labels out')
        # Needed while an export is loaded, before modules can be assigned.
        sigma = checked_sigma(type(self).__name__, sigma)
        self._wanted_sigma = sigma
        super().__init__(seed=seed, **kwargs)
        self.sigma = sigma
        # Saved with the weights, so that they are not used under another noise.
        self.register_buffer('trained_sigma', torch.tensor(sigma))

    def _load_export(self, export: dict, path: str) -> None:
        if 'sigma' not in export:
            raise UsageError(
                f'{path} was not exported from a SmoothedPurifier, so it was trained on other images than noisy ones'
            )
        self._check_sigma(export['sigma'], path)
        super()._load_export(export, path)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        theirs = state_dict.get(f'{prefix}trained_sigma')
        if theirs is not None:
            self._check_sigma(float(theirs), 'the checkpoint')
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_sigma(self, theirs: float, source: str) -> None:
        if abs(theirs - self._wanted_sigma) > 1e-3 * self._wanted_sigma:
            raise UsageError(
                f'{source} was trained for sigma={theirs:g}, not for sigma={self._wanted_sigma:g}: '
                'set the sigma it was trained for, or train one for this sigma'
            )

    def export(self) -> dict:
        return {**super().export(), 'sigma': self.sigma}

    def denoise(self, images: Pixels) -> Pixels:
        """Clean images that are noisy already, without adding noise: the part of the purifier that is certified.

        Args:
            images: pixels 0-255, in any layout.
        """
        return self._run(images)[2]

    def purify(self, images: Pixels, randomness: Optional[Randomness] = None) -> Pixels:
        """Add noise and remove it; the noise is that of the seed and the image if ``randomness`` is None."""
        randomness = self._randomness(images, None) if randomness is None else randomness
        return self.denoise(add_gaussian_noise(images, self.sigma, randomness))
