import pytest
import torch
from mmengine.registry import MODELS

from mmadvdefense.networks.cifar_resnet import CIFARResNet


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(('depth', 'with_head'), [(20, 269_722), (56, 853_018)])
def test_parameter_count(depth, with_head):
    head = 64 * 10 + 10
    assert _count(MODELS.build(dict(type='CIFARResNet', depth=depth))) + head == with_head


@pytest.mark.parametrize('size', [32, 64])
def test_shapes(size):
    outputs = CIFARResNet(depth=8).eval()(torch.rand(2, 3, size, size))
    assert isinstance(outputs, tuple) and len(outputs) == 1
    assert outputs[0].shape == (2, 64, size // 4, size // 4)


def test_option_a_shortcut():
    block = CIFARResNet(depth=8).layer2[0]
    x = torch.rand(2, 16, 6, 6)
    shortcut = block.shortcut(x)
    assert shortcut.shape == (2, 32, 3, 3)
    assert torch.equal(shortcut[:, 8:24], x[:, :, ::2, ::2])
    assert not shortcut[:, :8].any() and not shortcut[:, 24:].any()


def test_block_adds_shortcut_before_relu():
    block = CIFARResNet(depth=8).layer2[0].eval()
    # With a residual of zero, the block is its rectified shortcut.
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 16, 6, 6)
    assert torch.equal(block(x), block.shortcut(x).relu())


@pytest.mark.parametrize('depth', [2, 18, 34])
def test_bad_depth(depth):
    with pytest.raises(ValueError, match=f'6n \\+ 2.*got {depth}'):
        CIFARResNet(depth=depth)
