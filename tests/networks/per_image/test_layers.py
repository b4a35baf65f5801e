"""Layers and networks with weights of their own for every image, against PyTorch's for one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import nn

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.networks.per_image.layers import PerImageConv2d, draw_uniform
from mmadvdefense.randomness import Randomness

SEEDS = [3, 1, 4]


def _images(*size: int) -> torch.Tensor:
    return torch.randn(len(SEEDS), 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _of(parameters: dict, index: int) -> dict:
    return {name: value[index] for name, value in parameters.items()}


def test_weights_are_pytorch_s_and_each_image_s_own():
    images = _images(4, 4)
    weights = draw_uniform(images, (5, 7, 10), 25, Randomness(SEEDS))
    assert weights.shape == (3, 5, 7, 10) and weights.dtype == torch.float64
    for seed, own in zip(SEEDS, weights):
        numbers = torch.rand(5, 7, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert torch.equal(own, (2 * numbers - 1) / 5)


@pytest.mark.parametrize('stride', [1, 2, 5])
@pytest.mark.parametrize('size', [(7, 9), (2, 11)])
def test_convolution(stride, size):
    images, conv = _images(*size), PerImageConv2d.covering(4, 5, stride)
    randomness = Randomness(SEEDS)
    weight, bias = conv.draw_weight(images, randomness), conv.draw_bias(images, randomness)
    out = conv(images, weight, bias)
    assert out.shape == (3, 4, *conv.output_size(size))
    for index in range(3):
        alone = F.conv2d(images[index : index + 1], weight[index], bias[index], stride, padding=2)
        assert torch.allclose(out[index], alone[0], atol=1e-12)
    # The transposed convolution is the adjoint.
    features, no_bias = torch.randn_like(out), torch.zeros_like(bias)
    back = conv.transposed(features, weight, torch.zeros_like(bias[:, :3]), size)
    assert back.shape == images.shape
    forth = (conv(images, weight, no_bias) * features).flatten(1).sum(1)
    assert torch.allclose(forth, (images * back).flatten(1).sum(1), atol=1e-10)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(kernel_size=4), 'kernel_size must be odd, got 4'),
        (dict(kernel_size=5, stride=6), 'stride must be in 1-5.*got 6'),
        (dict(stride=0), 'stride must be in 1-15.*got 0'),
    ],
)
@pytest.mark.parametrize('kind', ['EnergyNetworks', 'ScalarAutoEncoders'])
def test_convolutions_that_miss_pixels(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type=kind, **settings))


@pytest.mark.parametrize('activation', ['ReLU', 'Tanh'])
def test_energy(activation):
    images = _images(9, 6)
    settings = dict(num_filters=2, kernel_size=5, stride=3, act_cfg=dict(type=activation))
    networks = MODELS.build(dict(type='EnergyNetworks', **settings))
    parameters = networks.draw(images, Randomness(SEEDS))
    energies = networks(images, parameters)
    assert energies.shape == (3,)
    assert networks.num_inputs(images) == 3 * 5 * 5 * 3 * 2
    for index in range(3):
        own = _of(parameters, index)
        responses = getattr(torch, activation.lower())(
            F.conv2d(images[index : index + 1], own['filters'], own['biases'], stride=3, padding=2)
        )
        assert torch.allclose(energies[index], F.linear(responses.flatten(), own['weights'].flatten()), atol=1e-12)


def test_scalar_autoencoder():
    images = _images(9, 6)
    networks = MODELS.build(dict(type='ScalarAutoEncoders', num_filters=2, kernel_size=5, stride=3))
    parameters = networks.draw(images, Randomness(SEEDS))
    out = networks(images, parameters)
    for index in range(3):
        own = _of(parameters, index)
        code = F.conv2d(images[index : index + 1], own['encoder'], own['encoder_bias'], stride=3, padding=2)
        scalar = F.leaky_relu(F.linear(code.flatten(), own['to_scalar'].view(1, -1), own['to_scalar_bias']), 0.2)
        code = F.linear(scalar, own['from_scalar'].view(-1, 1), own['from_scalar_bias'].flatten()).view_as(code)
        # A 9 x 6 image is 3 x 2 positions, of which a transposed convolution alone would make 7 x 4.
        decoded = F.conv_transpose2d(code, own['decoder'], own['decoder_bias'], 3, padding=2, output_padding=(2, 2))
        assert torch.allclose(out[index], decoded[0], atol=1e-12)


def test_hourglass():
    """Each unit is convolution, batch norm of one image and LeakyReLU."""
    images = _images(7, 10)
    networks = MODELS.build(dict(type='HourglassNetworks', noise_channels=3, widths=(4, 6), skip_channels=2))
    randomness = Randomness(SEEDS)
    parameters, noise = networks.draw(images, randomness), networks.draw_noise(images, randomness)
    assert noise.shape == (3, 3, 7, 10) and 0 <= noise.min() and noise.max() < 0.1
    # As they become when they are fitted.
    for value in parameters.values():
        value += torch.linspace(-0.3, 0.3, value.shape[1]).view(1, -1, *[1] * (value.ndim - 2))
    out = networks(noise, parameters)
    assert out.shape == images.shape and 0 < out.min() and out.max() < 1
    for index in range(3):
        own = _of(parameters, index)

        def unit(name: str, features: torch.Tensor, own=own, **settings) -> torch.Tensor:
            features = F.conv2d(features, own[name], **settings)
            norm = nn.BatchNorm2d(features.shape[1]).double()
            norm.weight.data, norm.bias.data = own[f'{name}_scale'], own[f'{name}_shift']
            return F.leaky_relu(norm(features), 0.2)

        fine = unit('down0_next', unit('down0', noise[index : index + 1], padding=1), padding=1)
        coarse = unit('down1_next', unit('down1', fine, padding=1, stride=2), padding=1)
        coarse = F.interpolate(coarse, (7, 10), mode='bilinear')
        merged = unit('up0', torch.cat([coarse, unit('skip0', fine)], 1), padding=1)
        expected = F.conv2d(merged, own['image'], own['image_bias']).sigmoid()
        assert torch.allclose(out[index], expected[0], atol=1e-10)


def test_hourglass_without_stages():
    with pytest.raises(ValueError, match='at least one stage'):
        MODELS.build(dict(type='HourglassNetworks', widths=()))
