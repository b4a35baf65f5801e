"""A network that starts as a part of a trained model."""

import pytest
import torch
from torch import nn

from mmadvdefense.checkpoints import CheckpointMismatch, load_part
from mmadvdefense.compat import CheckpointRefused


def network(width=3):
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))


@pytest.fixture
def saved(tmp_path):
    def save(backbone, **others):
        state = {f'backbone.{name}': value for name, value in backbone.state_dict().items()}
        torch.save({'state_dict': {**state, 'head.fc.weight': torch.zeros(2, 3)}, **others}, tmp_path / 'model.pth')
        return tmp_path / 'model.pth'

    return save


def test_fills_it(saved):
    trained, fresh = network(), network()
    trained[1].running_mean += 5
    assert load_part(fresh, saved(trained)) == 7
    assert all(torch.equal(fresh.state_dict()[name], value) for name, value in trained.state_dict().items())


@pytest.mark.parametrize(
    'theirs, message',
    [
        (network(4), r'0.weight is \(4, 1, 3, 3\) there and \(3, 1, 3, 3\) in the model'),
        (network()[:1], 'the backbone in .*model.pth would leave 4 of 7 tensors of this model untrained: 1.weight'),
        (nn.Sequential(*network(), nn.Linear(1, 1)), 'has more than this Sequential: 2.weight, 2.bias'),
        (nn.Sequential(), 'model.pth has no backbone, but head.fc.weight'),
    ],
)
def test_another_backbone_is_refused_as_a_whole(saved, theirs, message):
    ours = network()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    with pytest.raises(CheckpointMismatch, match=message):
        load_part(ours, saved(theirs))
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in before.items())


def test_reads_nothing_but_data(saved, tmp_path):
    with pytest.raises(CheckpointRefused, match='could run code'):
        load_part(network(), saved(network(), other=network()))
    with pytest.raises(FileNotFoundError, match='no checkpoint .*gone.pth'):
        load_part(network(), tmp_path / 'gone.pth')


def test_another_part(saved):
    head = nn.Linear(3, 2, bias=False)
    assert load_part(head, saved(network()), 'head.fc') == 1 and not head.weight.any()
    with pytest.raises(CheckpointMismatch, match='model.pth has no neck, but '):
        load_part(head, saved(network()), 'neck')
