"""Every filter against a plain loop over positions."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmadvdefense.networks.denoising_block import EMBEDDED, KINDS, DenoisingBlock
from mmadvdefense.registry import MODELS

SHAPES = [(2, 6, 4, 5), (1, 30, 3, 2)]


def features(shape) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def build(kind, channels) -> DenoisingBlock:
    torch.manual_seed(1)
    block = MODELS.build(dict(type='DenoisingBlock', channels=channels, kind=kind)).double().eval()
    for name in ('theta', 'phi') if kind in EMBEDDED else ():
        # Weights of 0.01 would make all positions count alike.
        torch.nn.init.normal_(getattr(block, name).weight, std=0.7)
    return block


def plain_loop(block, x):
    """``y_i = sum_j f(x_i, x_j) x_j / c_i`` with one Python number after the other."""
    kind = block.kind
    count, _, height, width = x.shape
    if kind in EMBEDDED:
        theta = torch.einsum('ec,nchw->nehw', block.theta.weight[..., 0, 0], x)
        phi = torch.einsum('ec,nchw->nehw', block.phi.weight[..., 0, 0], x)
    else:
        theta = phi = x
    out = torch.zeros_like(x)
    positions = [(row, column) for row in range(height) for column in range(width)]
    for n in range(count):
        for i in positions:
            window = [j for j in positions if kind != 'bilateral' or max(abs(i[0] - j[0]), abs(i[1] - j[1])) <= 1]
            products = [float(theta[n, :, i[0], i[1]] @ phi[n, :, j[0], j[1]]) for j in window]
            if kind == 'nonlocal_dot':
                weights = [product / len(positions) for product in products]
            else:
                exponentials = [math.exp(product / math.sqrt(theta.shape[1])) for product in products]
                weights = [value / sum(exponentials) for value in exponentials]
            for weight, j in zip(weights, window):
                out[n, :, i[0], i[1]] += weight * x[n, :, j[0], j[1]]
    return out


@pytest.mark.parametrize('kind', ['nonlocal_embedded', 'nonlocal_gaussian'])
def test_weights_of_all_pairs_are_not_kept(kind):
    """Forward and backward run in the fused kernel, which refuses what it cannot take."""
    x = features((2, 6, 8, 8)).float().requires_grad_()
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        build(kind, 6).float().denoise(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@pytest.mark.parametrize('kind', ['nonlocal_embedded', 'nonlocal_gaussian', 'nonlocal_dot', 'bilateral'])
@torch.no_grad()
def test_weighted_means_equal_a_plain_loop(kind, shape):
    x = features(shape)
    block = build(kind, shape[1])
    assert (block.denoise(x) - plain_loop(block, x)).abs().max() < 1e-10


@pytest.mark.parametrize('shape', SHAPES, ids=str)
@torch.no_grad()
def test_local_filters_equal_scipy_s(shape):
    x = features(shape)
    median = np.stack([[ndimage.median_filter(c, 3, mode='nearest') for c in image] for image in x.numpy()])
    np.testing.assert_array_equal(build('median', shape[1]).denoise(x), median)
    sums, counts = (
        np.stack([[ndimage.convolve(c, np.ones((3, 3)), mode='constant') for c in image] for image in maps])
        for maps in (x.numpy(), np.ones(shape))
    )
    np.testing.assert_allclose(build('mean', shape[1]).denoise(x), sums / counts, atol=1e-12)


@pytest.mark.parametrize('kind', KINDS)
def test_starts_as_the_identity_and_learns(kind):
    x = features(SHAPES[0]).float()
    block = DenoisingBlock(6, kind)
    for mode in (True, False):
        assert torch.equal(block.train(mode)(x), x)
    block(x).square().sum().backward()
    assert block.bn.weight.grad.abs().sum() > 0
    block.zero_grad()
    torch.nn.init.ones_(block.bn.weight)
    block.train()(x).pow(3).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in block.parameters())


@pytest.mark.parametrize('kind', KINDS)
@torch.no_grad()
def test_is_the_residual_of_a_normalised_convolution(kind):
    x = features(SHAPES[0])
    block = build(kind, 6)
    torch.nn.init.uniform_(block.bn.weight, 0.5, 2.0)
    torch.nn.init.uniform_(block.bn.bias)
    torch.nn.init.uniform_(block.bn.running_var, 0.5, 2.0)
    mixed = torch.einsum('dc,nchw->ndhw', block.conv.weight[..., 0, 0], block.denoise(x))
    scale = block.bn.weight / (block.bn.running_var + block.bn.eps).sqrt()
    expected = x + mixed * scale.view(-1, 1, 1) + block.bn.bias.view(-1, 1, 1)
    torch.testing.assert_close(block(x), expected)
    assert block.conv.bias is None


def test_published_parameters():
    torch.manual_seed(0)
    block = DenoisingBlock(256)
    assert block.kind == 'nonlocal_embedded'
    assert block.theta.weight.shape == block.phi.weight.shape == (128, 256, 1, 1)
    assert block.theta.bias is None and block.phi.bias is None
    assert block.theta.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert sum(p.numel() for p in DenoisingBlock(256, 'null').parameters()) == 256 * 256 + 2 * 256


@pytest.mark.parametrize('kind', ['nonlocal_gaussian', 'nonlocal_dot'])
def test_mixed_precision_does_not_overflow(kind):
    """Sums over all positions of features this large are beyond what half precision holds."""
    x = features((1, 64, 16, 16)).float().abs() * 200
    block = DenoisingBlock(64, kind).eval()
    torch.nn.init.ones_(block.bn.weight)
    torch.nn.init.constant_(block.conv.weight, 1e-8)
    with torch.autocast('cpu', torch.float16), torch.no_grad():
        out = block(x.half())
    assert out.dtype == torch.float16 and out.isfinite().all()
    assert block.denoise(x).max() > torch.finfo(torch.float16).max or kind == 'nonlocal_gaussian'


def test_unknown_kind():
    with pytest.raises(ValueError, match="unknown denoising kind 'gauss'; known: nonlocal_embedded, bilateral"):
        DenoisingBlock(4, 'gauss')
