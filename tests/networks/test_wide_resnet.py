import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmadvdefense.networks.wide_resnet import WideResNet


def test_parameter_count_of_wrn_34_10():
    with torch.device('meta'):
        model = MODELS.build(dict(type='WideResNet', depth=34, widen_factor=10))
    head = 640 * 10 + 10
    assert sum(parameter.numel() for parameter in model.parameters()) + head == 46_160_474


@pytest.mark.parametrize('size', [32, 64])
def test_shapes(size):
    outputs = WideResNet(depth=10, widen_factor=2).eval()(torch.rand(2, 3, size, size))
    assert isinstance(outputs, tuple) and len(outputs) == 1
    assert outputs[0].shape == (2, 128, size // 4, size // 4)
    assert (outputs[0] >= 0).all(), 'the last layer is a ReLU'


def test_shortcuts_follow_the_width():
    model = WideResNet(depth=16, widen_factor=2)
    for stage in (model.layer1, model.layer2, model.layer3):
        assert isinstance(stage[0].shortcut, nn.Conv2d) and stage[1].shortcut is None


def test_block_is_pre_activation():
    block = WideResNet(depth=16, widen_factor=1).layer2.eval()
    x = torch.randn(2, 16, 6, 6)
    for part in block:
        nn.init.zeros_(part.conv2.weight)
    # Without residuals, the first block is its shortcut of the activated input and the second the identity.
    expected = block[0].shortcut(block[0].bn1(x).relu())
    torch.testing.assert_close(block(x), expected)


def test_dropout():
    model = WideResNet(depth=10, widen_factor=1, dropout=0.5)
    x = torch.rand(1, 3, 8, 8)
    model.eval()
    assert torch.equal(model(x)[0], model(x)[0])
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train()
    assert not torch.equal(model(x)[0], model(x)[0])


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(depth=33), '6n \\+ 4.*got 33'),
        (dict(depth=4), '6n \\+ 4.*got 4'),
        (dict(widen_factor=0), 'widen_factor.*got 0'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        WideResNet(**kwargs)
