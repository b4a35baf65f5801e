"""The smoothed model: predictions with a certified radius, or none where the votes do not suffice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import UsageError
from ...pixels import PIXEL_MAX, check_channels, check_pixels
from ...randomness import derive_seed, image_seeds
from .bounds import certified_radius, check_alpha, check_draws, exceeds_p_values, holm, lower_bound, tie_p_value
from .votes import NoisyVotes

# The label of a pixel whose class is not certain enough.
ABSTAIN = -1


@dataclass(frozen=True)
class Certificate:
    """What is certain about an image.

    Attributes:
        label: the class that the smoothed classifier predicts; None if it abstains.
        radius: L2 norm in pixels (0-255) of the smallest change to the image that could change ``label``; 0 if it
            abstains.
        probability: lower bound on the probability of the class under noise.
        selected: the class that got most of the first ``n0`` votes, whose probability was estimated.
        votes: for that class, among the ``n`` of the estimate; 0 if there was no estimate.
    """

    label: Optional[int]
    radius: float
    probability: float
    selected: int
    votes: int

    @property
    def radius_in_unit_range(self) -> float:
        """The radius for images in 0-1, as papers state it."""
        return self.radius / PIXEL_MAX


@dataclass(frozen=True)
class Prediction:
    """A prediction without a radius, for which fewer votes suffice.

    Attributes:
        label: the likeliest class under noise; None if that is not certain enough.
        votes: for the two most frequent classes.
        p_value: how likely such votes are if these two classes are equally likely.
    """

    label: Optional[int]
    votes: tuple[int, int]
    p_value: float


@dataclass(frozen=True)
class PixelCertificate:
    """What is certain about the pixels of an image; all of it together, with probability ``1 - alpha``.

    Attributes:
        labels: ``(H, W)``, the class of each pixel, or ``ABSTAIN``; on the CPU.
        radius: L2 norm in pixels (0-255) of the smallest change to the whole image that could change any of them.
    """

    labels: Tensor
    radius: float

    @property
    def radius_in_unit_range(self) -> float:
        """The radius for images in 0-1, as papers state it."""
        return self.radius / PIXEL_MAX

    @property
    def abstained(self) -> float:
        """The share of pixels without a class."""
        return float((self.labels == ABSTAIN).double().mean())


class SmoothedModel:
    """What a model decides on most often under Gaussian noise, as a classifier of its own.

    It is certified in the way of Cohen et al. (ICML 2019); pixel by pixel as Fischer et al., "Scalable Certified
    Segmentation via Randomized Smoothing" (ICML 2021), do. A certificate is wrong with a probability of at most
    ``alpha``, over the noise that was drawn.

    Args:
        model: a classifier or a segmentor, with or without a purifier, on any device.
        sigma: standard deviation of the noise in pixels (0-255); None for that of a ``SmoothedPurifier``.
        n0: number of noisy copies that choose the class.
        n: number of noisy copies that estimate its probability.
        alpha: probability that a certificate is wrong.
        tau: for segmentation, the probability that a pixel's class must exceed, at least 1/2; the radius is
            ``sigma * Phi^-1(tau)``.
        purifier: whether to use the model's purifier.
        batch_size: see :class:`NoisyVotes`.
        seed: of the noise, which also depends on the image.

    Raises:
        UsageError: for values that are out of range; see also :class:`NoisyVotes`.
    """

    def __init__(
        self,
        model: nn.Module,
        sigma: Optional[float] = None,
        n0: int = 100,
        n: int = 10000,
        alpha: float = 0.001,
        tau: float = 0.75,
        purifier: bool = True,
        batch_size: Optional[int] = None,
        seed: int = 0,
    ):
        check_alpha(alpha)
        check_draws(n0, n)
        if not 0.5 <= tau < 1:
            raise UsageError(f'tau is the probability that a class must exceed, at least 0.5 and below 1; got {tau!r}')
        self.votes = NoisyVotes(model, sigma, purifier, batch_size)
        self.n0, self.n, self.alpha, self.tau, self.seed = n0, n, alpha, tau, seed

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in pixels."""
        return self.votes.sigma

    @property
    def largest_radius(self) -> float:
        """The radius in pixels that is certified if all votes agree; pixel by pixel the only one."""
        if self.votes.per_pixel:
            return certified_radius(self.sigma, self.tau)
        return max(0.0, certified_radius(self.sigma, lower_bound(self.n, self.n, self.alpha)))

    def certify(self, image: Tensor, data_sample: Any = None, only: Optional[int] = None) -> Certificate:
        """Predict the class of an image and the radius within which no change of the image can change it.

        Args:
            image: pixels 0-255, ``(3, H, W)``, of any type and on any device.
            data_sample: names the image, which the noise depends on; None for a digest of its pixels.
            only: the only class for which a radius is wanted, such as the true one: if another is selected, its
                probability is not estimated, which saves ``n`` forward passes, and the certificate abstains.

        Raises:
            UsageError: for a segmentor, or images that are not raw pixels.
        """
        self._require(per_pixel=False)
        image, seed = self._prepared(image, data_sample)
        selected = int(self.votes.count(image, self.n0, derive_seed(seed, 'select')).argmax())
        if only is not None and selected != only:
            return Certificate(None, 0.0, 0.0, selected, 0)
        count = int(self.votes.count(image, self.n, derive_seed(seed, 'estimate'))[selected])
        probability = lower_bound(count, self.n, self.alpha)
        if probability <= 0.5:
            return Certificate(None, 0.0, probability, selected, count)
        return Certificate(selected, certified_radius(self.sigma, probability), probability, selected, count)

    def predict(self, image: Tensor, data_sample: Any = None, n: Optional[int] = None) -> Prediction:
        """Predict the class of an image without a radius (PREDICT in Cohen et al.).

        Args:
            image: as in :meth:`certify`.
            data_sample: as in :meth:`certify`.
            n: number of noisy copies; None for ``n0``.
        """
        self._require(per_pixel=False)
        image, seed = self._prepared(image, data_sample)
        number = self.n0 if n is None else n
        check_draws(1, number)
        (first, second), labels = self.votes.count(image, number, derive_seed(seed, 'predict')).topk(2)
        votes = int(first), int(second)
        p_value = tie_p_value(*votes)
        return Prediction(int(labels[0]) if p_value <= self.alpha else None, votes, p_value)

    def certify_pixels(self, image: Tensor, data_sample: Any = None) -> PixelCertificate:
        """Predict the class of each pixel, all of which no change of the image within the radius can change.

        SegCertify in Fischer et al. with Holm's correction: the certificate of an image holds for all of its pixels
        together.

        Args:
            image: as in :meth:`certify`.
            data_sample: as in :meth:`certify`.

        Raises:
            UsageError: for a classifier, or images that are not raw pixels.
        """
        self._require(per_pixel=True)
        image, seed = self._prepared(image, data_sample)
        selected = self.votes.count(image, self.n0, derive_seed(seed, 'select')).argmax(0, keepdim=True)
        votes = self.votes.count(image, self.n, derive_seed(seed, 'estimate')).gather(0, selected)[0].cpu().numpy()
        certain = holm(exceeds_p_values(self.n, self.tau)[votes], self.alpha)
        labels = selected[0].cpu().where(torch.from_numpy(np.ascontiguousarray(certain)), ABSTAIN)
        return PixelCertificate(labels, certified_radius(self.sigma, self.tau))

    def _require(self, per_pixel: bool) -> None:
        if self.votes.per_pixel != per_pixel:
            noun = self.votes.task.noun
            raise UsageError(
                f'a {noun} is certified pixel by pixel: use certify_pixels'
                if self.votes.per_pixel
                else f'a {noun} has one class an image: use certify or predict'
            )

    def _prepared(self, image: Tensor, data_sample: Any) -> tuple[Tensor, int]:
        check_channels([image])
        check_pixels([image])
        # Before the copy to the device, because images without a name are digested in main memory.
        (seed,) = image_seeds(self.seed, 'certify', [image], None if data_sample is None else [data_sample])
        return image.to(self.votes.source.device).float(), seed
