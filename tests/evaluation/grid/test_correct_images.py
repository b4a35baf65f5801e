"""Which images are left of a data set when only those count that the target gets right, a few of each class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

import mmadvdefense.evaluation.grid.correct_images as module
from mmadvdefense.evaluation.grid.config import GridConfig, read_grid
from mmadvdefense.evaluation.grid.correct_images import choose_images
from mmadvdefense.evaluation.grid.defenses import target_config
from mmadvdefense.evaluation.grid.image_selection import open_test_set
from mmadvdefense.evaluation.report.grid_tables import selection_text
from mmadvdefense.models import build_model

pytest.importorskip('mmpretrain')
CONFIG = str(Path(__file__).parents[3] / 'configs' / 'target' / 'digits_target.py')
# Of the test set's 500 digits.
SIZE = 120


@pytest.fixture
def target(tmp_path) -> dict:
    """A model of random weights, whose file decides what it gets right."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(CONFIG)
        model.init_weights()
        torch.nn.init.normal_(model.head.fc.weight, std=0.5)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'target.pth')
    return dict(config=CONFIG, checkpoint=str(tmp_path / 'target.pth'))


@pytest.fixture
def choose(target, tmp_path):
    base = target_config(target, dict(test_dataloader=dict(batch_size=SIZE, num_workers=0, dataset=dict(indices=SIZE))))
    dataset = open_test_set(base)

    def run(**settings):
        config = GridConfig(target, {}, {}, {}, {}, [], **settings)
        return choose_images(config, base, dataset, tmp_path / 'work')

    run.dataset = dataset
    return run


def right_by_hand(target, dataset, indices) -> list[int]:
    model = build_model(CONFIG).eval()
    model.load_state_dict(torch.load(target['checkpoint'])['state_dict'])
    items = [dataset[index] for index in indices]
    with torch.no_grad():
        inputs = model.data_preprocessor({'inputs': [item['inputs'] for item in items]})['inputs']
        predicted = model(inputs).argmax(1).tolist()
    labels = [int(item['data_samples'].gt_label) for item in items]
    return [index for index, ours, label in zip(indices, predicted, labels) if ours == label]


def test_only_what_the_target_gets_right(choose, target, monkeypatch):
    expected = right_by_hand(target, choose.dataset, range(SIZE))
    assert 4 < len(expected) < SIZE // 2, 'a random model'
    chosen, facts = choose(correct_only=True)
    assert chosen == expected and facts == dict(candidates=SIZE, correct=len(expected))
    assert selection_text(facts) == [
        f'Chosen from {SIZE} images, of which the target without a defense gets {len(expected)} right: only those are '
        'counted.\n'
    ]
    # A run that goes on does not ask again.
    monkeypatch.setattr(module, '_test', None)
    assert choose(correct_only=True)[0] == expected
    spread = [expected[position * len(expected) // 4] for position in range(4)]
    assert choose(correct_only=True, num_images=4)[0] == spread
    with pytest.raises(ValueError, match=f'num_images=90, but only {len(expected)} images are left'):
        choose(correct_only=True, num_images=90)


def test_of_the_indices_alone(choose, target):
    indices = list(range(100, 20, -2))
    chosen, facts = choose(correct_only=True, indices=indices)
    assert chosen == right_by_hand(target, choose.dataset, indices) and facts['candidates'] == 40


def test_another_checkpoint_is_asked_again(choose, target, monkeypatch):
    choose(correct_only=True, indices=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    state = torch.load(target['checkpoint'])['state_dict']
    state['head.fc.bias'] += torch.arange(10.0)
    torch.save({'state_dict': state}, target['checkpoint'])
    asked = []
    monkeypatch.setattr(module, '_test', lambda *arguments: asked.append(1) or [True] * 12)
    assert choose(correct_only=True, indices=list(range(12)))[0] == list(range(12)) and asked == [1]


def test_images_of_each_class(choose):
    labels = [choose.dataset.get_data_info(index)['gt_label'] for index in range(SIZE)]
    chosen, facts = choose(images_per_class=3)
    assert facts == dict(candidates=SIZE, images_per_class=3, classes=10, classes_with_fewer=0)
    for label in range(10):
        own = [index for index, other in enumerate(labels) if other == label]
        assert [index for index in chosen if labels[index] == label] == [own[k * len(own) // 3] for k in range(3)]
    assert chosen == sorted(chosen)


def test_classes_with_fewer_are_counted(choose, target):
    chosen, facts = choose(images_per_class=2, correct_only=True)
    right = right_by_hand(target, choose.dataset, range(SIZE))
    counts = torch.tensor([choose.dataset.get_data_info(index)['gt_label'] for index in right]).bincount(minlength=10)
    assert len(chosen) == counts.clamp(max=2).sum() and set(chosen) <= set(right)
    assert facts['classes'] == counts.gt(0).sum() and facts['classes_with_fewer'] == counts.eq(1).sum()
    facts['classes_with_fewer'] = 1
    assert 'up to 2 of each of' in selection_text(facts)[0] and '1 of which have fewer' in selection_text(facts)[0]


def test_what_cannot_be(choose, monkeypatch):
    monkeypatch.setattr(module, '_test', lambda *arguments: [False] * 5)
    with pytest.raises(ValueError, match='classifies none of 5 images correctly, but correct_only is set'):
        choose(correct_only=True, indices=[0, 1, 2, 3, 4])
    monkeypatch.setattr(type(choose.dataset), 'get_data_info', lambda self, index: dict(seg_map_path='a.png'))
    with pytest.raises(ValueError, match='is for image classification; an image of HandwrittenDigits does not'):
        choose(images_per_class=1)
    for settings, message in (
        (dict(correct_only='yes'), 'correct_only must be True or False'),
        (dict(images_per_class=0), 'images_per_class must be an integer >= 1'),
        (dict(images_per_clas=2), "did you mean 'images_per_class'"),
    ):
        attacks = dict(FGSM=dict(type='FGSM', eps=8))
        grid = dict(target={}, defenses=dict(none={}), attacks=attacks, threat_models=['gray-box'], **settings)
        with pytest.raises(ValueError, match=message):
            read_grid(Config(grid))


def test_nothing_is_asked_without_the_settings(choose, monkeypatch):
    monkeypatch.setattr(module, '_test', None)
    assert (
        choose(num_images=5) == ([position * SIZE // 5 for position in range(5)], None) and selection_text(None) == []
    )
