"""Mixtures of discretized logistic distributions over the three channels of a pixel, as in PixelCNN++."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Half the distance of two neighbouring values of 8-bit images in [-1, 1].
HALF_STEP = 1 / 255
# Of the logarithms of scales: narrower than a tenth of a step, nothing is gained.
MIN_LOG_SCALE = -7.0
# Per component: its weight, and for each of three channels a mean and a scale, and three coefficients between channels.
PARAMETERS_PER_COMPONENT = 10


class LogisticMixture(NamedTuple):
    """For each pixel, a mixture of K components (Salimans et al., "PixelCNN++", ICLR 2017, section 2.2).

    Within a component, green depends on red and blue on both: their means move by ``coefficients`` times the values of
    the channels before. A value of 0 or 255 has all the probability beyond it.

    Attributes:
        log_weights: normalized, ``(N, K, ...)``.
        means: ``(N, K, 3, ...)``, for images in [-1, 1].
        log_scales: ``(N, K, 3, ...)``.
        coefficients: ``(N, K, 3, ...)`` in [-1, 1]: of red for green, of red for blue, and of green for blue.
    """

    log_weights: Tensor
    means: Tensor
    log_scales: Tensor
    coefficients: Tensor

    @classmethod
    def of(cls, parameters: Tensor) -> LogisticMixture:
        """From a network's output ``(N, 10 K, ...)``."""
        parts = parameters.unflatten(1, (-1, PARAMETERS_PER_COMPONENT))
        weights, means, log_scales, coefficients = parts.split([1, 3, 3, 3], 2)
        return cls(weights.squeeze(2).log_softmax(1), means, log_scales.clamp(min=MIN_LOG_SCALE), coefficients.tanh())

    def channel_mean(self, channel: int, before: Tensor) -> Tensor:
        """Means ``(N, K, ...)`` of a channel, given the values ``(N, channel, ...)`` of those before it."""
        mean = self.means[:, :, channel]
        first = {1: 0, 2: 1}.get(channel, 0)
        for index in range(channel):
            mean = mean + self.coefficients[:, :, first + index] * before[:, None, index]
        return mean

    def log_probability(self, images: Tensor) -> Tensor:
        """``(N, ...)``, natural logarithms of the probability of pixels ``(N, 3, ...)`` in [-1, 1] of 8-bit images."""
        log_joint = self.log_weights
        for channel in range(3):
            mean, log_scale = self.channel_mean(channel, images[:, :channel]), self.log_scales[:, :, channel]
            log_joint = log_joint + discretized_logistic(images[:, None, channel], mean, log_scale)
        return log_joint.logsumexp(1)


def discretized_logistic(values: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """Natural logarithms of the probability that a logistic variable, rounded to 8 bits, is a value in [-1, 1]."""
    centred, inverse = values - means, (-log_scales).exp()
    above, below = inverse * (centred + HALF_STEP), inverse * (centred - HALF_STEP)
    # log(s(above) - s(below)), without the difference of almost equal numbers.
    inside = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(-2 * HALF_STEP * inverse))
    lowest, highest = values < -1 + HALF_STEP, values > 1 - HALF_STEP
    return torch.where(lowest, F.logsigmoid(above), torch.where(highest, F.logsigmoid(-below), inside))
