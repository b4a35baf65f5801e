import pytest
import torch
from torch import nn

from mmadvdefense.networks import GlobalGenerator
from mmadvdefense.registry import MODELS


def small(**kwargs):
    torch.manual_seed(0)
    return GlobalGenerator(**{**dict(base_channels=4, num_downsamples=2, num_blocks=1), **kwargs})


def test_published_size():
    # pix2pixHD's count for base 64, 4 down-samplings, 9 blocks
    with torch.device('meta'):
        count = sum(parameter.numel() for parameter in GlobalGenerator().parameters())
    widths = [64, 128, 256, 512, 1024]
    resampling = sum(9 * w * 2 * w + 2 * w for w in widths[:-1]) + sum(9 * w * 2 * w + w for w in widths[:-1])
    assert count == (49 * 3 * 64 + 64) + resampling + 18 * (9 * 1024**2 + 1024) + (49 * 64 * 3 + 3)


def test_registered_without_init_weights():
    network = MODELS.build(dict(type='GlobalGenerator', base_channels=2, num_blocks=1))
    assert network.divisor == 16
    # the runner would call it after weights have been loaded
    assert not hasattr(network, 'init_weights')


def test_start():
    network = small(base_channels=32)
    convs = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))]
    assert len(convs) == 1 + 2 + 2 + 2 + 1
    assert all(not conv.bias.any() for conv in convs)
    assert torch.cat([conv.weight.flatten() for conv in convs]).std().item() == pytest.approx(0.02, rel=0.02)
    assert all(not module.affine for module in network.modules() if isinstance(module, nn.InstanceNorm2d))


def test_output_range_and_gradient():
    x = torch.rand(2, 3, 16, 24) * 2 - 1
    x.requires_grad_()
    out = small(out_channels=1)(x)
    assert out.shape == (2, 1, 16, 24) and out.abs().max() <= 1
    out.sum().backward()
    assert x.grad.abs().sum() > 0


def test_residual_starts_as_identity_and_stays_in_range():
    network = small(residual=True)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    assert torch.equal(network(x), x)
    network(x).square().sum().backward()
    assert network.head.weight.grad.abs().sum() > 0
    nn.init.constant_(network.head.bias, 0.5)
    torch.testing.assert_close(network(x), (x + 0.5).clamp(max=1))


def test_residual_needs_equal_channels():
    with pytest.raises(ValueError, match='in_channels=3 must equal 1'):
        small(residual=True, out_channels=1)


@pytest.mark.parametrize('size', [(18, 16), (16, 18)])
def test_size_that_is_no_multiple(size):
    with pytest.raises(ValueError, match=f'{size[0]}x{size[1]} must be multiples of divisor=4'):
        small()(torch.zeros(1, 3, *size))
