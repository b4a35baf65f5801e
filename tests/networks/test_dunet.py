import pytest
import torch
from torch import nn

from mmadvdefense.networks import DUNet
from mmadvdefense.registry import MODELS

SMALL = dict(widths=(2, 3, 4), encoder_units=(1, 2, 1), decoder_units=(2, 1))


def test_published_size():
    with torch.device('meta'):
        count = sum(parameter.numel() for parameter in DUNet().parameters())
    assert count == pytest.approx(11.0e6, rel=0.01)


@pytest.mark.parametrize('lateral', [True, False])
@pytest.mark.parametrize('size', [(16, 16), (13, 7)])
def test_starts_as_identity_at_any_size(lateral, size):
    network = MODELS.build(dict(type='DUNet', lateral=lateral, **SMALL))
    x = torch.rand(2, 3, *size) * 2 - 1
    assert network.divisor == 1
    assert torch.equal(network(x), x)
    network(x).square().sum().backward()
    assert network.head.weight.grad.abs().sum() > 0
    assert not hasattr(network, 'init_weights')


def test_output_is_input_plus_noise_in_range():
    network = DUNet(zero_init=False, **SMALL)
    nn.init.constant_(network.head.weight, 10.0)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    out = network(x)
    # the features behind the head are not negative, so neither is the noise
    assert (out >= x).all() and out.max() == 1 and not torch.equal(out, x)


def test_structure():
    network = DUNet(widths=(4, 6, 8), encoder_units=(2, 3, 1), decoder_units=(2, 1))
    convs = [[m for m in stage if isinstance(m, nn.Conv2d)] for stage in [*network.encoder, *network.decoder]]
    assert [[(c.in_channels, c.out_channels, c.stride[0]) for c in stage] for stage in convs] == [
        [(3, 4, 1), (4, 4, 1)],
        [(4, 6, 2), (6, 6, 1), (6, 6, 1)],
        [(6, 8, 2)],
        [(8 + 6, 6, 1), (6, 6, 1)],
        [(6 + 4, 4, 1)],
    ]
    assert all(conv.bias is None for stage in convs for conv in stage) and network.head.bias is None


def test_without_laterals_the_decoder_is_narrower():
    counts = {
        lateral: sum(p.numel() for p in DUNet(lateral=lateral, **SMALL).parameters()) for lateral in (True, False)
    }
    # the first convolutions of the two decoder stages lose 9 weights for each lateral and output channel
    assert counts[True] - counts[False] == 9 * (3 * 3 + 2 * 2)


def test_one_stage():
    x = torch.rand(1, 3, 5, 5)
    assert DUNet(widths=(2,), encoder_units=(1,), decoder_units=())(x).shape == x.shape


@pytest.mark.parametrize('units', [dict(encoder_units=(1, 1)), dict(decoder_units=(1, 1, 1))])
def test_units_must_fit_the_stages(units):
    with pytest.raises(ValueError, match='3 widths need as many encoder_units and one fewer decoder_units'):
        DUNet(**{**SMALL, **units})
