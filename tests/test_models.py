"""Host models behind the wrappers that hosts put around them, and the scope of a config that names none."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage, StochasticWeightAverage
from torch import nn
from torch.nn import DataParallel
from torch.optim.swa_utils import AveragedModel

from mmadvdefense.attacks import AttackSource
from mmadvdefense.errors import UsageError
from mmadvdefense.models import all_modules, build_model, host_model, host_scope, read_config, unwrap
from mmadvdefense.tasks import task_of
from mmadvdefense.threats import build_source

pytest.importorskip('mmpretrain')


def _augmented(model):
    from mmpretrain.models import AverageClsScoreTTA

    return AverageClsScoreTTA(module=model)


WRAPPERS = {
    'DataParallel': DataParallel,
    'test-time augmentation': _augmented,
    'EMA': ExponentialMovingAverage,
    'SWA': lambda model: StochasticWeightAverage(model, update_buffers=True),
    'SWA of torch': AveragedModel,
    'EMA of test-time augmentation': lambda model: ExponentialMovingAverage(_augmented(model)),
}


@pytest.mark.parametrize('wrapper', WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_are_looked_through(wrapper, tiny_classifier, make_images):
    """Averaged models hold a copy. A wrapper's own preprocessor knows no mean and std."""
    wrapped = wrapper(tiny_classifier.eval())
    assert type(unwrap(wrapped)) is type(tiny_classifier)
    assert task_of(wrapped).num_classes == task_of(tiny_classifier).num_classes
    images = make_images(2, 3, 12, 10)
    with torch.no_grad():
        expected = AttackSource(tiny_classifier).logits(images)
        for source in (AttackSource(wrapped), build_source(wrapped)):
            assert source.model is unwrap(wrapped)
            assert torch.equal(source.logits(images), expected)


def test_what_is_not_wrapped_stays(tiny_classifier):
    assert unwrap(tiny_classifier) is tiny_classifier


def test_a_config_inside_a_package():
    name = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'
    config = read_config(name)
    assert config.model.backbone.depth == 18 and config.model.head.num_classes == 10
    assert build_model(name).head.num_classes == 10
    for wrong in ('mmpretrain::resnet/resnet19_8xb16_cifar10.py', 'mmnothing::resnet/resnet18_8xb16_cifar10.py'):
        with pytest.raises(UsageError, match=f'config not found: {wrong}'):
            read_config(wrong)


def test_scope_of_a_config():
    from mmpretrain.models import ImageClassifier

    class Own(ImageClassifier):
        pass

    def scope(kind, **settings):
        return host_scope(Config(dict(model=dict(type=kind), **settings)))

    assert scope('ImageClassifier', default_scope='mmpretrain') == 'mmpretrain'
    for kind in (ImageClassifier, Own, 'mmpretrain.ImageClassifier', 'mmpretrain.models.classifiers.ImageClassifier'):
        assert scope(kind) == scope(kind, default_scope=None) == 'mmpretrain'
    assert scope('ImageClassifier') == 'mmengine' and host_scope(Config({})) == 'mmengine'
    augmented = Config(dict(model=dict(type='AverageClsScoreTTA', module=dict(type=ImageClassifier))))
    assert host_model(augmented) is augmented.model.module and host_scope(augmented) == 'mmpretrain'


def test_all_modules_are_those_that_torch_finds():
    shared = nn.Linear(1, 1)
    model = nn.Sequential(shared, nn.ModuleList([nn.Sequential(shared, nn.ReLU()), nn.Identity()]))
    model.register_module('empty', None)
    found = all_modules(model)
    assert found[0] is model and len(found) == 6 and set(found) == set(model.modules())
