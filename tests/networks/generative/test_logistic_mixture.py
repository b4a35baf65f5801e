"""The distribution of a pixel, against plain arithmetic."""

from __future__ import annotations

import math

import pytest
import torch

from mmadvdefense.networks.generative.logistic_mixture import LogisticMixture, discretized_logistic


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def probability(value: int, mean: float, log_scale: float) -> float:
    """Of one of 256 values, by the difference of the distribution function at the ends of its interval."""
    low = 0.0 if value == 0 else sigmoid((value / 127.5 - 1 - 1 / 255 - mean) / math.exp(log_scale))
    high = 1.0 if value == 255 else sigmoid((value / 127.5 - 1 + 1 / 255 - mean) / math.exp(log_scale))
    return high - low


@pytest.mark.parametrize(('mean', 'log_scale'), [(0.0, -2.0), (-0.9, -3.5), (1.3, -1.0), (0.2, -5.0)])
def test_one_component_by_hand(mean, log_scale):
    values = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    found = discretized_logistic(values, torch.tensor(mean).double(), torch.tensor(log_scale).double()).exp()
    expected = [probability(value, mean, log_scale) for value in range(256)]
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=1e-6, atol=1e-12)
    assert found.sum().item() == pytest.approx(1)


def test_values_far_from_the_mean_keep_a_gradient():
    """Where the difference of two probabilities is nothing in single precision."""
    mean = torch.tensor(-1.0, requires_grad=True)
    found = discretized_logistic(torch.tensor(0.9), mean, torch.tensor(-6.0))
    found.backward()
    assert found.item() == pytest.approx(-1.9 * math.exp(6) + 2 / 255 / 2 * math.exp(6), rel=0.05) and mean.grad > 1


def test_three_channels_by_hand():
    """Green depends on red, blue on both, within each component."""
    torch.manual_seed(0)
    parameters = torch.randn(1, 20, 1, 1, dtype=torch.float64)
    mixture = LogisticMixture.of(parameters)
    components = parameters.view(2, 10).tolist()
    red, green, blue = 10, 200, 255
    r, g = red / 127.5 - 1, green / 127.5 - 1
    weights = [math.exp(own[0]) for own in components]
    total = 0.0
    for weight, own in zip(weights, components):
        means, log_scales, (a, b, c) = own[1:4], own[4:7], map(math.tanh, own[7:])
        total += (
            weight
            / sum(weights)
            * probability(red, means[0], log_scales[0])
            * probability(green, means[1] + a * r, log_scales[1])
            * probability(blue, means[2] + b * r + c * g, log_scales[2])
        )
    pixel = torch.tensor([red, green, blue]).double().view(1, 3, 1, 1) / 127.5 - 1
    assert mixture.log_probability(pixel).item() == pytest.approx(math.log(total))


def test_probabilities_of_all_values_of_blue_sum_to_those_of_red_and_green():
    torch.manual_seed(1)
    mixture = LogisticMixture.of(torch.randn(1, 30, 1, 1, dtype=torch.float64))
    blue = torch.arange(256).double().view(256, 1, 1, 1) / 127.5 - 1
    pixels = torch.cat([torch.full_like(blue, -0.2), torch.full_like(blue, 0.6), blue], 1)
    whole = LogisticMixture(*(own.expand(256, *own.shape[1:]) for own in mixture)).log_probability(pixels).exp().sum()
    marginal = mixture.log_weights
    for channel in range(2):
        mean = mixture.channel_mean(channel, pixels[:1, :channel])
        marginal = marginal + discretized_logistic(pixels[:1, None, channel], mean, mixture.log_scales[:, :, channel])
    assert whole.item() == pytest.approx(marginal.exp().sum().item())
