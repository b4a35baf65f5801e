import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmadvdefense.networks import FPDGenerator
from mmadvdefense.networks.restoration.fpd import denoised

SMALL = dict(widths=(3, 4, 5), blocks=(1, 1, 1), channels=6, head_channels=(4, 3))


def test_published_decoder():
    with torch.device('meta'):
        network = FPDGenerator()
    sizes = [(conv.in_channels, conv.out_channels) for conv in network.head if isinstance(conv, nn.ConvTranspose2d)]
    assert sizes == [(256, 64), (64, 16), (16, 3)]
    assert {conv.out_channels for conv in network.laterals} == {256} and network.smooth.kernel_size == (3, 3)


def test_denoising_by_hand():
    """(1 / HW) (F F^T) F and a shortcut, with F of C rows and HW columns."""
    features = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    for own, found in zip(features, denoised(features)):
        rows = own.flatten(1)
        products = [[sum(a * b for a, b in zip(one, other)) / 20 for other in rows.tolist()] for one in rows.tolist()]
        expected = rows + torch.tensor(products) @ rows
        torch.testing.assert_close(found.flatten(1), expected)


@pytest.mark.parametrize('finest', [0, 1])
def test_pyramid_by_hand(finest):
    torch.manual_seed(0)
    network = FPDGenerator(finest=finest, **SMALL).eval()
    images = torch.rand(2, 3, 8, 12) * 2 - 1
    stem = network.encoder.stem(denoised(images))
    first = denoised(network.encoder.stages[0](denoised(stem)))
    second = network.encoder.stages[1](first)
    third = network.encoder.stages[2](second)
    maps = [first, second, third][finest:]
    total = network.laterals[-1](third)
    for lateral, own in list(zip(network.laterals, maps))[-2::-1]:
        total = lateral(own) + F.interpolate(total, scale_factor=2, mode='bilinear', align_corners=False)
    out = network.smooth(total)
    for layer in network.head:
        out = layer(out)
    torch.testing.assert_close(network(images), out.tanh())
    assert network(images).shape == images.shape


def test_without_denoising():
    plain = FPDGenerator(denoise=False, **SMALL).eval()
    other = FPDGenerator(**SMALL).eval()
    other.load_state_dict(plain.state_dict())
    images = torch.rand(1, 3, 8, 8)
    assert not torch.equal(plain(images), other(images))


def test_starts_as_a_classifier():
    assert FPDGenerator(encoder_checkpoint='classifier.pth', **SMALL).pretrained == {
        'encoder': ('backbone', 'classifier.pth')
    }
    assert FPDGenerator(**SMALL).pretrained == {}


@pytest.mark.parametrize('finest', [-1, 2])
def test_no_pyramid(finest):
    with pytest.raises(ValueError, match=f'a pyramid has at least two stages.* got finest={finest}'):
        FPDGenerator(finest=finest, **SMALL)


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match='9x8 must be multiples of divisor=4'):
        FPDGenerator(**SMALL)(torch.zeros(1, 3, 9, 8))
