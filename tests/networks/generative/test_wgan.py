import pytest
import torch
from torch import nn

from mmadvdefense.networks import WGANCritic, WGANGenerator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_published_sizes():
    """A code of 128, width 64, three 5x5 transposed convolutions for 32 pixels."""
    with torch.device('meta'):
        generator, critic = WGANGenerator(), WGANCritic()
    convs = 25 * (256 * 128 + 128 * 64 + 64 * 3) + 128 + 64 + 3
    assert count(generator) == 129 * 256 * 16 + 2 * (256 + 128 + 64) + convs == 1_558_275
    assert count(critic) == 25 * (3 * 64 + 64 * 128 + 128 * 256) + 64 + 128 + 256 + 256 * 16 + 1
    assert not any(isinstance(module, nn.BatchNorm2d) for module in critic.modules()), 'the penalty forbids it'


@pytest.mark.parametrize('size', [(32, 32), (16, 24)])
def test_images_of_codes(size):
    generator = WGANGenerator(code_size=5, base_channels=2, image_size=size)
    drawn = generator(torch.randn(3, 5))
    assert drawn.shape == (3, 3, *size) and drawn.abs().max() < 1
    ((*_, scores),) = WGANCritic(base_channels=2, image_size=size)(drawn)
    assert scores.shape == (3, 1)


@pytest.mark.parametrize('network', [WGANGenerator, WGANCritic])
@pytest.mark.parametrize('size', [(4, 8), (32, 30), (32,)], ids=str)
def test_sizes_that_it_cannot_draw(network, size):
    with pytest.raises(ValueError, match=rf'{network.__name__}: image_size is \(height, width\), multiples of 8'):
        network(image_size=size)
