import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmadvdefense.networks import NRPDiscriminator, NRPGenerator


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_published_sizes():
    with torch.device('meta'):
        full, light = NRPGenerator(), NRPGenerator(light=True)
    ends = 2 * 3 * 64 * 9 + 64 + 3
    dense = 9 * (32 * (64 + 96 + 128 + 160) + 64 * 192) + 4 * 32 + 64
    assert count(full) == ends + 23 * 3 * dense == 16_550_275
    assert count(light) == ends + 23 * 2 * (64 * 64 * 9 + 64) == 1_702_211


def test_dense_blocks_by_hand():
    """One residual-in-residual block, layer by layer."""
    torch.manual_seed(0)
    network = NRPGenerator(channels=6, num_blocks=1, growth=4)
    images = torch.rand(2, 3, 7, 5) * 2 - 1
    stem = trunk = network.stem((images + 1) / 2)
    for block in network.trunk[0].blocks:
        a, b, c, d, e = block.convs
        one = F.leaky_relu(a(trunk), 0.2)
        two = F.leaky_relu(b(torch.cat([trunk, one], 1)), 0.2)
        three = F.leaky_relu(c(torch.cat([trunk, one, two], 1)), 0.2)
        four = F.leaky_relu(d(torch.cat([trunk, one, two, three], 1)), 0.2)
        trunk = trunk + 0.2 * e(torch.cat([trunk, one, two, three, four], 1))
    expected = 2 * network.head(stem + 0.2 * trunk) - 1
    torch.testing.assert_close(network(images), expected)


def test_the_light_network_by_hand():
    torch.manual_seed(0)
    network = NRPGenerator(channels=6, num_blocks=2, light=True)
    images = torch.rand(1, 3, 5, 4)
    out = network.stem((images + 1) / 2)
    for block in network.trunk:
        first, _, second = block.body
        out = out + second(first(out).relu())
    torch.testing.assert_close(network(images), 2 * network.head(out) - 1)


@pytest.mark.parametrize(('size', 'num_pairs'), [((32, 32), 3), ((40, 64), 5)])
def test_discriminator_of_any_image(size, num_pairs):
    network = NRPDiscriminator(base_channels=2, num_pairs=num_pairs)
    ((*maps, logits),) = network(torch.rand(2, 3, *size))
    assert logits.shape == (2, 1) and len(maps) == 2 * num_pairs
    assert maps[-1].shape[2:] == tuple(side // 2**num_pairs for side in size)
    assert maps[-1].shape[1] == 2 * min(2 ** (num_pairs - 1), 8)
    with pytest.raises(ValueError, match='num_pairs must be at least 1'):
        NRPDiscriminator(num_pairs=0)
