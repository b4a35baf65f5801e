"""Denoised smoothing: a generator in front of a classifier that is certified under Gaussian noise."""

from __future__ import annotations

import math
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

_NOT_NOISY = 'is not from a SmoothedPurifier, so its generator was trained on other images than noisy ones'


@MODELS.register_module()
class SmoothedPurifier(GeneratorPurifier, RandomPurifier):
    """Adds Gaussian noise to an image, then removes it with a trained generator (Salman et al., "Denoised Smoothing: A
    Provable Defense for Pretrained Classifiers", NeurIPS 2020).

    One pass is one vote of the smoothed classifier, and proves nothing by itself: ``tools/certify.py`` takes many votes
    and certifies a radius. In training, noise comes from the training attack
    ``GaussianNoise``, and this purifier adds none.

    Args:
        sigma: standard deviation of the noise in pixels (0-255): the 0.25 of the papers is 63.75. None for that of the
            export of ``init_cfg``.
        seed: see :class:`RandomPurifier`.
        kwargs: of :class:`GeneratorPurifier`.

    Raises:
        UsageError: for a ``sigma`` below 1, a discriminator, or weights that were trained for another ``sigma``.
    """

    recipe = 'smoothed'
    sigma: float
    trained_sigma: Tensor

    def __init__(self, sigma: Optional[float] = None, seed: int = 0, **kwargs):
        if 'discriminator' in kwargs or 'condition_on_labels' in kwargs:
            raise UsageError('SmoothedPurifier has no discriminator: leave discriminator and condition_on_labels out')
        # Before the export is loaded, which may be for another sigma.
        from_export = sigma is None and kwargs.get('init_cfg')
        self._wanted_sigma = None if from_export else checked_sigma(type(self).__name__, sigma)
        super().__init__(seed=seed, **kwargs)
        assert self._wanted_sigma is not None, 'given, or read from the export'
        self.sigma = self._wanted_sigma
        # Saved with the weights, so that they are not used under another noise.
        self.register_buffer('trained_sigma', torch.tensor(self.sigma))

    def _load_export(self, export: dict, path: str) -> None:
        if 'sigma' not in export:
            raise UsageError(f'{path} {_NOT_NOISY}')
        self._check_sigma(export['sigma'], path)
        super()._load_export(export, path)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        theirs = state_dict.get(f'{prefix}trained_sigma')
        if theirs is not None:
            self._check_sigma(float(theirs), 'the checkpoint')
        elif any(name.startswith(f'{prefix}generator.') for name in state_dict):
            raise UsageError(f'the checkpoint {_NOT_NOISY}')
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_sigma(self, theirs: float, source: str) -> None:
        wanted = self._wanted_sigma
        if wanted is None:
            self._wanted_sigma = theirs
        # Relative, since a checkpoint has it in single precision.
        elif not math.isclose(theirs, wanted, rel_tol=1e-4):
            raise UsageError(
                f'{source} was trained for sigma={theirs:g}, not for sigma={wanted:g}: '
                'set the sigma it was trained for, or train one for this sigma'
            )

    def export(self) -> dict:
        return {**super().export(), 'sigma': self.sigma}

    def purify(self, images: Pixels, randomness: Optional[Randomness] = None) -> Pixels:
        """Add noise and remove it; the noise is that of the seed and the image if ``randomness`` is None."""
        randomness = self._randomness(images, None) if randomness is None else randomness
        return super().purify(add_gaussian_noise(images, self.sigma, randomness))
