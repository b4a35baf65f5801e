"""How images come out of a pipeline, told from configs and from data sets."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmadvdefense.pipelines import channel_order, config_channel_order, normalizes, pipeline_steps

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
TO_PIL, TO_ARRAY = dict(type='NumpyToPIL', to_rgb=True), dict(type='mmpretrain.PILToNumpy', to_bgr=True)
DATASETS = {
    'files': (dict(type='ImageNet', pipeline=[LOAD, PACK]), 'bgr'),
    'scoped': (dict(type='mmpretrain.CustomDataset', pipeline=[dict(type='mmcv.LoadImageFromFile')]), 'bgr'),
    'arrays': (dict(type='mmpretrain.CIFAR10', pipeline=[PACK]), 'rgb'),
    'unknown arrays': (dict(type='MyArrays', pipeline=[PACK]), None),
    'repeated': (dict(type='RepeatDataset', dataset=dict(type='CIFAR100', pipeline=[PACK])), 'rgb'),
    'joined': (dict(type='ConcatDataset', datasets=[dict(type='CocoDataset', pipeline=[LOAD])]), 'bgr'),
    'to RGB': (dict(type='ImageNet', pipeline=[LOAD, TO_PIL, PACK]), 'rgb'),
    'there and back': (dict(type='ImageNet', pipeline=[LOAD, TO_PIL, TO_ARRAY, PACK]), 'bgr'),
    'a choice': (dict(type='X', pipeline=[dict(type='RandomChoice', transforms=[[LOAD], [LOAD]])]), 'bgr'),
    'nothing': (None, None),
}


@pytest.mark.parametrize('name', DATASETS)
def test_channel_order(name):
    config, order = DATASETS[name]
    assert channel_order(config) == order
    assert channel_order(config and Config(dict(dataset=config)).dataset) == order


class LoadImageFromMyServer:
    pass


class MyLoader(LoadImageFromMyServer):
    to_rgb = True


def test_channel_order_of_data_sets():
    """Transforms that have been built; a subclass loads as its base does."""
    inner = SimpleNamespace(pipeline=SimpleNamespace(transforms=[MyLoader()]))
    assert channel_order(inner) == channel_order(SimpleNamespace(dataset=inner)) == 'bgr'
    assert channel_order(dict(pipeline=[dict(type=MyLoader)])) == 'bgr'
    assert [step.name for step in pipeline_steps(inner)] == ['MyLoader']


def test_channel_order_of_configs():
    def config(pipeline=(), **preprocessor):
        loader = dict(dataset=dict(type='X', pipeline=list(pipeline)))
        return Config(dict(model=dict(type='M'), data_preprocessor=preprocessor, test_dataloader=loader))

    assert config_channel_order(config([LOAD], rgb_to_bgr=True)) == 'bgr', 'the pipeline comes first'
    assert config_channel_order(config(to_rgb=True)) == config_channel_order(config(bgr_to_rgb=True)) == 'bgr'
    assert config_channel_order(config(rgb_to_bgr=True)) == 'rgb'
    assert config_channel_order(config(to_rgb=False)) is None
    assert config_channel_order(Config(dict(model=dict(data_preprocessor=dict(to_rgb=True))))) == 'bgr'


def test_normalizes():
    assert normalizes(dict(pipeline=[LOAD, dict(type='mmcv.Normalize')]))
    assert normalizes(dict(pipeline=[LOAD, dict(type='torchvision/Normalize')]))
    assert not normalizes(dict(pipeline=[LOAD, PACK]))
