import pytest
import torch
from torch import nn

from mmadvdefense.networks import APEGANDiscriminator, APEGANGenerator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_published_size():
    with torch.device('meta'):
        network = APEGANGenerator()
    # Convolutions of 4x4 with a bias, and the scale and shift of batch norm.
    convs = (3 * 64 + 64 * 128 + 128 * 64 + 64 * 3) * 16 + 64 + 128 + 64 + 3
    assert count(network) == convs + 2 * (64 + 128 + 64) == 269_059


@pytest.mark.parametrize('size', [(32, 32), (12, 20)])
def test_images_in_and_out(size):
    network = APEGANGenerator(base_channels=4)
    images = torch.rand(2, 3, *size) * 2 - 1
    assert network.down(images).shape == (2, 8, size[0] // 4, size[1] // 4)
    purified = network(images)
    assert purified.shape == images.shape and purified.abs().max() < 1


def test_discriminator_has_the_map_of_the_original_at_32_pixels():
    network = APEGANDiscriminator(base_channels=4)
    ((*maps, logits),) = network(torch.rand(2, 3, 32, 32))
    assert [tuple(own.shape) for own in maps] == [(2, 4, 15, 15), (2, 8, 7, 7), (2, 16, 3, 3)]
    assert torch.allclose(logits, network.classifier(maps[-1].flatten(1))) and logits.shape == (2, 1)


@pytest.mark.parametrize('size', [(15, 15), (64, 96)])
def test_discriminator_of_any_image(size):
    assert APEGANDiscriminator(base_channels=4)(torch.rand(2, 3, *size))[0][-1].shape == (2, 1)
