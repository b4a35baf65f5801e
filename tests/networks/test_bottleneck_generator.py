import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmadvdefense.networks import BottleneckEncoder, BottleneckGenerator
from mmadvdefense.registry import MODELS

SMALL = dict(num_downsamples=1, widths=(2, 3), blocks=(1, 1), code_channels=2)


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def _images(*size):
    return torch.rand(2, 3, *(size or (16, 16))) * 2 - 1


def test_parameter_count():
    with torch.device('meta'):
        default, small = BottleneckGenerator(), BottleneckGenerator(**SMALL)
    assert (_count(default), _count(default.encoder)) == (824_243, 652_344)
    # Stem, first block; second block with its shortcut; to the code, from it; decoder; head.
    encoder = (54 + 4) + (36 + 4 + 36 + 4) + (54 + 6 + 81 + 6 + 6 + 6)
    assert _count(small.encoder) == encoder
    assert _count(small) == encoder + (6 + 2) + (6 + 6) + (54 + 4) + (54 + 3)


@pytest.mark.parametrize('downsamples, size', [(1, (6, 4)), (3, (16, 24))])
def test_shapes(downsamples, size):
    widths = (2, 3, 4, 5)[: downsamples + 1]
    network = MODELS.build(
        dict(type='BottleneckGenerator', num_downsamples=downsamples, widths=widths, blocks=(1,) * len(widths))
    )
    codes = []
    network.to_code.register_forward_hook(lambda module, inputs, code: codes.append(code))
    x = _images(*size)
    out = network(x)
    assert out.shape == x.shape and out.abs().max() < 1
    assert codes[0].shape == (2, 32, size[0] // 2**downsamples, size[1] // 2**downsamples)
    assert network.divisor == 2**downsamples and not hasattr(network, 'init_weights')
    # A new generator does not saturate.
    assert 0 < out.abs().max() < 0.99
    (x - out).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for name, p in network.named_parameters() if 'to_code.bias' not in name)


def test_nothing_passes_by_the_code():
    network = BottleneckGenerator(**SMALL).eval()
    first, second = _images().requires_grad_(), _images()
    assert not torch.equal(network(first), network(second))
    code = torch.randn(2, 2, 8, 8)
    network.to_code.register_forward_hook(lambda module, inputs, output: code + 0 * output)
    assert torch.equal(network(first), network(second))
    network(first).sum().backward()
    assert not first.grad.any()


def test_decodes_as_described():
    network = BottleneckGenerator(**SMALL).eval()
    x = _images()
    code = network.to_code(network.encoder(x)[0])
    out = network.from_code(code)
    out = network.decoder[0](F.interpolate(out, (16, 16), mode='bilinear', align_corners=False))
    torch.testing.assert_close(network(x), torch.tanh(F.conv2d(out, network.head.weight, network.head.bias, padding=1)))


def test_mix_of_decoded_and_low_passed():
    network = BottleneckGenerator(image_mix=0.25, image_pool=4, **SMALL).eval()
    nn.init.zeros_(network.head.weight)
    nn.init.constant_(network.head.bias, 0.5)
    x = torch.zeros(1, 3, 8, 4)
    x[:, :, :4] = torch.linspace(-1, 1, 4)[:, None]
    x[:, :, 4:] = 0.8
    # Averages are 0 and 0.8; half-way between their centers, and beyond them, as bilinear interpolation has it.
    rows = torch.tensor([0, 0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.8])
    expected = 0.75 * torch.tanh(torch.tensor(0.5)) + 0.25 * rows
    torch.testing.assert_close(network(x), expected.view(1, 1, 8, 1).expand_as(x))
    assert network.divisor == 4 and BottleneckGenerator(image_mix=0.25, image_pool=3, **SMALL).divisor == 6


def test_encoder_is_a_backbone():
    encoder = MODELS.build(dict(type='BottleneckEncoder', widths=(2, 3, 4), blocks=(0, 1, 2)))
    (features,) = encoder(_images(16, 12))
    assert features.shape == (2, 4, 4, 3) and features.min() >= 0
    assert [len(stage) for stage in encoder.stages] == [0, 1, 2]
    # What the constructor draws remains, whether or not the host initializes its backbone.
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.init_weights()
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    weight = BottleneckEncoder().stages[3][0].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)


def test_block_adds_shortcut_before_relu():
    block = BottleneckEncoder(widths=(2, 3), blocks=(1, 1)).stages[1][0].eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 2, 6, 6)
    conv = block.shortcut[0]
    assert (conv.kernel_size, conv.stride) == ((1, 1), (2, 2))
    torch.testing.assert_close(block(x), (conv(x) / (1 + 1e-5) ** 0.5).relu())


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(num_downsamples=2), r'num_downsamples=2 needs 3 widths and blocks, got \(2, 3\)'),
        (dict(blocks=(1, 1, 1)), r'one number per resolution each, got \(2, 3\) and \(1, 1, 1\)'),
        (dict(blocks=(1, 0)), r'all blocks but the first.*blocks=\(1, 0\)'),
        (dict(image_mix=1), 'image_mix is the share .*, 0 to below 1, got 1'),
        (dict(code_channels=0), 'must be at least 1, got 0 and 8'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        BottleneckGenerator(**{**SMALL, **settings})


def test_size_must_be_a_multiple():
    with pytest.raises(ValueError, match='7x8 must be multiples of divisor=2'):
        BottleneckGenerator(**SMALL)(_images(7, 8))
