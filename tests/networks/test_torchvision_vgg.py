import pytest
import torch
from torch import nn

from mmadvdefense.networks import TorchvisionVGG


@pytest.mark.parametrize('depth', [11, 13, 16, 19])
def test_layers_are_torchvisions(depth):
    models = pytest.importorskip('torchvision.models')
    with torch.device('meta'):
        theirs = models.get_model(f'vgg{depth}', weights=None, init_weights=False).features
        ours = TorchvisionVGG(depth).features
    assert [type(layer) for layer in ours] == [type(layer) for layer in theirs]
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, v.shape) for k, v in theirs.state_dict().items()
    ]


def test_vgg16_names_of_the_papers_layers():
    with torch.device('meta'):
        features = TorchvisionVGG(16).features
    # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3: the last before each pooling
    pools = [index for index, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
    assert [index - 1 for index in pools] == [3, 8, 15, 22, 29]
    assert not any(getattr(layer, 'inplace', False) for layer in features)


def test_unknown_depth():
    with pytest.raises(ValueError, match='11, 13, 16, 19, got 18'):
        TorchvisionVGG(18)
