"""A library that this package has never heard of, from its record alone: attacked, purified, and what its page says."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope
from torch.nn import functional as F

from mmadvdefense.apis import protect
from mmadvdefense.attacks import PGD, AttackSource, Randomness
from mmadvdefense.hosts import HOSTS, host_of_class
from mmadvdefense.models import build_model
from mmadvdefense.purifiers import Purifier
from mmadvdefense.tasks import ClassificationTask, task_of
from mmadvdefense.threats import build_source

PAGE = Path(__file__).resolve().parents[1] / 'docs' / 'new_host.md'

LIBRARY = '''
"""Classifies images by their mean colour. It knows nothing of mmadvdefense."""
import torch
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.registry import MODELS as ROOT
from mmengine.registry import Registry
from mmengine.structures import BaseDataElement

MODELS = Registry('model', parent=ROOT, scope='mmtoy')


class ToySample(BaseDataElement):
    def set_gt_label(self, label):
        return self.set_field(torch.as_tensor(label).view(1), 'gt_label') or self

    def set_pred_label(self, label):
        return self.set_field(label.view(1), 'pred_label') or self


@MODELS.register_module()
class ToyPreprocessor(ImgDataPreprocessor):
    def forward(self, data, training=False):
        data = self.cast_data(data)
        images = data['inputs'] if torch.is_tensor(data['inputs']) else torch.stack(data['inputs'])
        return dict(inputs=(images - self.mean) / self.std, data_samples=data.get('data_samples'))


class BaseToyModel(BaseModel):
    pass


@MODELS.register_module()
class MeanColour(BaseToyModel):
    def __init__(self, num_classes, data_preprocessor):
        super().__init__(data_preprocessor=data_preprocessor)
        self.head = torch.nn.Linear(3, num_classes)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        scores = self.head(inputs.mean((2, 3)))
        if mode == 'tensor':
            return scores
        if mode == 'loss':
            labels = torch.cat([sample.gt_label for sample in data_samples])
            return dict(loss=torch.nn.functional.cross_entropy(scores, labels))
        samples = data_samples or [ToySample() for _ in scores]
        return [sample.set_pred_label(label) for sample, label in zip(samples, scores.argmax(1))]
'''
NATIVE = dict(type='ToyPreprocessor', mean=[120.0] * 3, std=[60.0] * 3)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The library, and the record that its page shows."""
    (tmp_path / 'mmtoy.py').write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict = {}
    (block,) = re.findall(r'^```python\n(.*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    exec(block, names)
    monkeypatch.setitem(HOSTS, 'mmtoy', names['record'])
    yield import_module('mmtoy')
    sys.modules.pop('mmtoy')
    ROOT_MODELS.children.pop('mmtoy')


@pytest.fixture
def config():
    return Config(
        dict(default_scope='mmtoy', model=dict(type='MeanColour', num_classes=4), data_preprocessor=dict(NATIVE))
    )


@pytest.fixture
def batch(toy):
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255
    return images, [toy.ToySample().set_gt_label(index % 4) for index in range(6)]


def loss(model, images, samples):
    with torch.no_grad():
        scores = model(model.data_preprocessor(dict(inputs=images))['inputs'])
    return F.cross_entropy(scores, torch.cat([sample.gt_label for sample in samples])).item()


def test_its_models_are_recognized(toy, config):
    model = build_model(config).eval()
    assert host_of_class(type(model)) is HOSTS['mmtoy'] and type(task_of(model)) is ClassificationTask
    assert task_of(model).num_classes == 4


def test_it_is_attacked(config, batch):
    images, samples = batch
    model = build_model(config).eval()
    result = PGD(eps=8, step_size=2, steps=4).run(AttackSource(model), images, samples, Randomness(0))
    change = result.images - images
    assert 7.99 < change.abs().max() <= 8.001 and not any(parameter.grad for parameter in model.parameters())
    assert loss(model, result.images, samples) > loss(model, images, samples) + 1e-3
    # On a linear model, the way up is one direction for all pixels of a channel, but for those at the end of the range.
    free = (images > 8) & (images < 247)
    directions = (change.sign() * free).flatten(2)
    assert ((directions.amax(2) - directions.amin(2)) <= 1).all()


def test_it_is_purified(toy, config, batch):
    images, samples = batch
    model = build_model(config).eval()
    protected = protect(model, dict(type='BitDepthPurifier', bits=2))
    assert isinstance(protected.data_preprocessor, Purifier)
    assert type(protected.data_preprocessor.native) is toy.ToyPreprocessor
    with torch.no_grad():
        ours = protected.test_step(dict(inputs=images, data_samples=samples))
        theirs = model.test_step(dict(inputs=protected.data_preprocessor.purify(images), data_samples=None))
    assert [int(a.pred_label) for a in ours] == [int(b.pred_label) for b in theirs]


def test_the_one_line_finds_its_preprocessor(toy, config, batch):
    images, samples = batch
    config.data_preprocessor.type = 'MedianFilterPurifier'
    model = build_model(config).eval()
    assert type(model.data_preprocessor.native) is toy.ToyPreprocessor
    adaptive = PGD(eps=8, step_size=2, steps=4)(build_source(model, 'adaptive'), images, samples, Randomness(0))
    assert loss(model, adaptive, samples) > loss(model, images, samples)


def test_without_its_record_the_message_says_which_hosts_there_are(toy, config, monkeypatch):
    monkeypatch.delitem(HOSTS, 'mmtoy')
    model = build_model(config)
    with pytest.raises(TypeError, match='MeanColour is not a model of mmpretrain, mmseg, mmdet'):
        task_of(model)
    with DefaultScope.overwrite_default_scope('mmtoy'), pytest.raises(ValueError, match='cannot tell which'):
        ROOT_MODELS.build(dict(type='MedianFilterPurifier'))
