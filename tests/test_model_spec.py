"""A model by its files: what a config may say, and the one kind of error for what it may not."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import ConfigDict

from mmadvdefense.compat import CheckpointRefused
from mmadvdefense.errors import UsageError
from mmadvdefense.model_spec import ModelSpec

CONFIG = str(Path(__file__).parents[1] / 'configs' / 'target' / 'digits_target.py')


def test_parse_and_back():
    spec = ModelSpec.parse(ConfigDict(config=Path('a/b.py'), checkpoint='b.pth', channel_order='rgb'))
    assert spec == ModelSpec('a/b.py', 'b.pth', channel_order='rgb') and spec.name == 'b'
    assert spec.as_dict() == dict(config='a/b.py', checkpoint='b.pth', trust=False, channel_order='rgb')
    assert ModelSpec.parse(json.loads(json.dumps(spec.as_dict()))) == spec
    assert ModelSpec.parse(spec) is spec
    assert {spec: 1}[ModelSpec('a/b.py', 'b.pth', channel_order='rgb', what='another source')] == 1
    itself = ModelSpec.parse(dict(config='a.py', checkpoint=None), loads_itself=True)
    assert itself.as_dict() == dict(config='a.py', checkpoint=None, trust=False)


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ('a.py', r"the source must be dict\(config=..., checkpoint=..., \[trust=True\].*got 'a.py'"),
        (dict(config='a.py'), 'the source has no checkpoint: it must be dict'),
        (dict(config='a.py', checkpoint=None), 'the source has no checkpoint: it must be dict'),
        ({}, 'the source has no config and no checkpoint'),
        (dict(config='a.py', checkpoint='a.pth', chekpoint='b'), r'the source has unknown settings \(chekpoint\)'),
        (dict(config='a.py', checkpoint=3), 'the checkpoint of the source must be the path of a file, got 3'),
        (dict(config='', checkpoint='a.pth'), "the config of the source must be the path of a file, got ''"),
        (dict(config='a.py', checkpoint='a.pth', trust='yes'), "trust of the source must be True or False, got 'yes'"),
        (
            dict(config='a.py', checkpoint='a.pth', channel_order='gbr'),
            "channel_order of the source must be 'bgr' or 'rgb', got 'gbr'",
        ),
    ],
)
def test_one_kind_of_error(spec, message):
    with pytest.raises(UsageError, match=message):
        ModelSpec.parse(spec, 'the source')


def test_settings_that_make_no_sense():
    spec = dict(config='a.py', checkpoint='a.pth', channel_order='bgr')
    with pytest.raises(
        UsageError, match=r'unknown settings \(channel_order\): it must be dict\(config=.*trust=True\]\)'
    ):
        ModelSpec.parse(spec, optional=('trust',))
    with pytest.raises(UsageError, match='the config of the model must be the path of a file, got None'):
        ModelSpec(None, 'a.pth')


def test_files_are_checked(tmp_path):
    good, pickled = tmp_path / 'good.pth', tmp_path / 'pickled.pth'
    torch.save({'state_dict': {}}, good)
    torch.save({'state_dict': {}, 'options': argparse.Namespace()}, pickled)
    for spec in (
        ModelSpec(CONFIG, good),
        ModelSpec(CONFIG, None),
        ModelSpec('mmpretrain::resnet/resnet18_8xb16_cifar10.py', 'https://download.openmmlab.com/a.pth'),
    ):
        spec.check_files()
    with pytest.raises(FileNotFoundError, match='config of the source not found: nowhere.py'):
        ModelSpec('nowhere.py', str(good)).check_files('the source')
    with pytest.raises(FileNotFoundError, match='checkpoint of the source not found: nowhere.pth'):
        ModelSpec(CONFIG, 'nowhere.pth').check_files('the source')
    with pytest.raises(CheckpointRefused, match=r'argparse\.Namespace'):
        ModelSpec(CONFIG, str(pickled)).check_files()


def test_load(tmp_path):
    pytest.importorskip('mmpretrain')
    built = ModelSpec(CONFIG, None).load()
    for parameter in built.parameters():
        torch.nn.init.constant_(parameter, 0.25)
    torch.save({'state_dict': built.state_dict()}, tmp_path / 'a.pth')
    spec = ModelSpec(CONFIG, str(tmp_path / 'a.pth'))
    loaded = spec.load()
    assert all((parameter == 0.25).all() for parameter in loaded.parameters())
    assert spec.image_order() == 'rgb' and ModelSpec(CONFIG, None, channel_order='bgr').image_order() == 'bgr'
