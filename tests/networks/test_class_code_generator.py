import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmadvdefense.networks import ClassCodeGenerator
from mmadvdefense.registry import MODELS

SMALL = dict(num_classes=3, widths=(2, 3), blocks=(1, 1), size=(4, 4))


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def _images(*size):
    return torch.rand(2, 3, *(size or (8, 8))) * 2 - 1


def test_parameter_count():
    with torch.device('meta'):
        default = MODELS.build(dict(type='ClassCodeGenerator', num_classes=10))
    assert _count(default) == 652_344 + (128 * 10 + 10) + 10 * 3 * 32 * 32


def test_draws_by_class_probabilities():
    torch.manual_seed(0)
    network = ClassCodeGenerator(**SMALL).eval()
    x = _images()
    pooled = network.encoder(x)[0].mean((2, 3))
    p = F.softmax(pooled @ network.scores.weight.T + network.scores.bias, 1)
    d = network.drawings
    drawn = p[:, 0, None, None, None] * d[0] + p[:, 1, None, None, None] * d[1] + p[:, 2, None, None, None] * d[2]
    expected = F.interpolate(drawn, (8, 8), mode='bilinear').tanh()
    torch.testing.assert_close(network(x), expected)
    network(x).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_nothing_passes_by_the_scores():
    network = ClassCodeGenerator(**SMALL).eval()
    network.scores.register_forward_hook(lambda module, inputs, scores: torch.zeros_like(scores))
    first, second = network(_images()), network(_images())
    assert torch.equal(first, second)
    torch.testing.assert_close(
        first[0], F.interpolate(network.drawings.mean(0)[None], (8, 8), mode='bilinear').tanh()[0]
    )


def test_mix_with_low_passed():
    network = ClassCodeGenerator(image_mix=0.25, image_pool=4, **SMALL).eval()
    nn.init.zeros_(network.drawings)
    x = torch.full((1, 3, 8, 8), 0.8)
    torch.testing.assert_close(network(x), 0.25 * x)
    assert network.divisor == 4


def test_starts_as_a_classifier():
    network = ClassCodeGenerator(encoder_checkpoint='a.pth', **SMALL)
    assert network.pretrained == {'encoder': ('backbone', 'a.pth'), 'scores': ('head.fc', 'a.pth')}
    assert ClassCodeGenerator(**SMALL).pretrained == {}


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(num_classes=1), 'num_classes is at least 2'),
        (dict(size=(0, 4)), r'got 3, \(0, 4\) and 8'),
        (dict(image_mix=1), 'image_mix is the share .*, 0 to below 1, got 1'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        ClassCodeGenerator(**{**SMALL, **settings})


def test_size_must_be_a_multiple():
    with pytest.raises(ValueError, match='7x8 must be multiples of divisor=2'):
        ClassCodeGenerator(**SMALL)(_images(7, 8))
