import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.networks import EDSR


def test_published_size():
    with torch.device('meta'):
        network = EDSR()
    # Stem, two convolutions of each block, the one after them, the one of the enlargement, and the last.
    convs = 3 * 64 + (2 * 16 + 1) * 64 * 64 + 64 * 256 + 64 * 3
    biases = 64 + (2 * 16 + 1) * 64 + 256 + 3
    assert sum(parameter.numel() for parameter in network.parameters()) == 9 * convs + biases == 1_369_859


def test_layer_by_layer():
    torch.manual_seed(0)
    network = EDSR(channels=4, num_blocks=2, residual_scale=0.5)
    images = torch.rand(2, 3, 5, 6)
    stem = out = network.stem(images)
    for block in network.blocks:
        first, _, second = block.body
        out = out + 0.5 * second(first(out).relu())
    conv, _ = network.enlarge
    enlarged = F.pixel_shuffle(conv(stem + network.merge(out)), 2)
    torch.testing.assert_close(network(images), network.head(enlarged))


@pytest.mark.parametrize('scale', [2, 4])
def test_scale(scale):
    assert EDSR(channels=4, num_blocks=1, scale=scale)(torch.rand(1, 3, 3, 5)).shape == (1, 3, 3 * scale, 5 * scale)


@pytest.mark.parametrize('scale', [0, 1, 3, 6])
def test_scales_that_it_has_not(scale):
    with pytest.raises(ValueError, match=f'scale must be a power of 2 above 1, got {scale}'):
        EDSR(scale=scale)
