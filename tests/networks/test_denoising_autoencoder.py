import pytest
import torch

from mmadvdefense.networks import DenoisingAutoEncoder, DUNet
from mmadvdefense.registry import MODELS

SMALL = dict(widths=(2, 3, 4), encoder_units=(1, 2, 1), decoder_units=(2, 1))


def test_is_the_u_net_without_lateral_connections():
    torch.manual_seed(0)
    network = MODELS.build(dict(type='DenoisingAutoEncoder', zero_init=False, **SMALL))
    twin = DUNet(lateral=False, zero_init=False, **SMALL)
    twin.load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 13, 7) * 2 - 1
    assert torch.equal(network(images), twin(images))
    # 9 weights for each channel of the lateral input and each output channel of the first convolution
    with_lateral = sum(p.numel() for p in DUNet(**SMALL).parameters())
    assert with_lateral - sum(p.numel() for p in network.parameters()) == 9 * (3 * 3 + 2 * 2)


def test_published_size():
    """The 11.0 M of DUNET without the 1.36 M weights of its four lateral connections."""
    with torch.device('meta'):
        count = sum(parameter.numel() for parameter in DenoisingAutoEncoder().parameters())
    assert count == 11_033_984 - 9 * (256 * 256 + 256 * 256 + 128 * 128 + 64 * 64)


def test_lateral_connections_are_what_it_has_not():
    with pytest.raises(TypeError, match='lateral'):
        DenoisingAutoEncoder(lateral=True)
