import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmadvdefense.networks import MultiscaleDiscriminator
from mmadvdefense.registry import MODELS


def test_outputs_by_scale_and_layer():
    outputs = MultiscaleDiscriminator(base_channels=4)(torch.zeros(2, 3, 32, 32))
    assert [[tuple(layer.shape[1:]) for layer in scale] for scale in outputs] == [
        [(4, 17, 17), (8, 9, 9), (16, 5, 5), (32, 6, 6), (1, 7, 7)],
        [(4, 9, 9), (8, 5, 5), (16, 3, 3), (32, 4, 4), (1, 5, 5)],
    ]


@pytest.mark.parametrize('num_layers, num_scales', [(1, 1), (2, 3)])
def test_numbers_of_layers_and_scales(num_layers, num_scales):
    network = MODELS.build(
        dict(
            type='MultiscaleDiscriminator', in_channels=5, base_channels=2, num_layers=num_layers, num_scales=num_scales
        )
    )
    outputs = network(torch.zeros(1, 5, 32, 32))
    assert [len(scale) for scale in outputs] == [num_layers + 2] * num_scales


def test_scales_see_the_image_at_decreasing_resolution():
    network = MultiscaleDiscriminator(base_channels=2)
    x = torch.rand(1, 3, 32, 32)
    half = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    for scale, image, outputs in zip(network.scales, (x, half), network(x)):
        torch.testing.assert_close(scale(image), outputs)


def test_layers_are_not_overwritten():
    first = MultiscaleDiscriminator(base_channels=2, num_scales=1)
    x = torch.randn(1, 3, 16, 16)
    conv = first.scales[0].layers[0][0]
    torch.testing.assert_close(first(x)[0][0], F.leaky_relu(conv(x), 0.2))


def test_width_is_capped_and_start():
    with torch.device('meta'):
        wide = MultiscaleDiscriminator(base_channels=256)
    assert max(m.out_channels for m in wide.modules() if isinstance(m, nn.Conv2d)) == 512
    network = MultiscaleDiscriminator(base_channels=16)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert torch.cat([conv.weight.flatten() for conv in convs]).std().item() == pytest.approx(0.02, rel=0.05)
    assert not any(conv.bias.any() for conv in convs)
    assert not hasattr(network, 'init_weights')
